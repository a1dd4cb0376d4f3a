"""`tuhono ca`: a CA for development, and certificates for devices that are being tried out."""

from pathlib import Path
from typing import Annotated

import typer

from kernel.clock import SystemClock
from pki.certificates import parse_certificate
from pki.issuance import create_authority, issue
from pki.name_values import escape_value
from pki.pem import certificates_in, render_certificate
from pki.profiles import DEVICE, SERVER
from pki.signers.file import DEFAULT_KEY_KIND, KEY_KINDS, FileSigner
from tuhono.cli.context import AsJson, faults_told
from tuhono.cli.output import fail, out, print_json

app = typer.Typer(
    no_args_is_help=True, help="A CA for development. In production your manufacturer's or your own CA issues."
)

KeyKind = Annotated[str, typer.Option("--key", help=f"Kind of key: {', '.join(KEY_KINDS)}.")]
Days = Annotated[int, typer.Option(min=1, max=36_500, help="Days it is valid.")]
Folder = Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="Folder the files are written to.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the files are called: NAME.pem and NAME.key.")],
    subject: Annotated[str | None, typer.Option(help="Distinguished name; default: CN=NAME.")] = None,
    key: KeyKind = DEFAULT_KEY_KIND,
    days: Days = 3650,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Make a CA: its certificate and its private key (mode 0600). Refuses to overwrite either."""
    with faults_told(as_json=as_json):
        certificate_file, key_file = _new_files(folder, name, key, as_json)
        signer = FileSigner.create(key_file, key)
        der = create_authority(subject or f"CN={escape_value(name)}", signer=signer, now=SystemClock().now(), days=days)
        certificate_file.write_bytes(render_certificate(der))
    _told(certificate_file, key_file, der, as_json)


@app.command("issue")
def issue_(
    ca: Annotated[str, typer.Argument(help="The CA, as named when it was made: CA.pem and CA.key.")],
    name: Annotated[str, typer.Argument(help="What the files are called: NAME.pem and NAME.key.")],
    subject: Annotated[str | None, typer.Option(help="Distinguished name; default: CN=NAME.")] = None,
    server: Annotated[bool, typer.Option("--server", help="For a server instead of a device.")] = False,
    san: Annotated[
        list[str] | None, typer.Option(help="Alternative name: dns:…, ip:…, uri:… or email:…; may be repeated.")
    ] = None,
    key: KeyKind = DEFAULT_KEY_KIND,
    days: Days = 365,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Issue a certificate with a new private key (mode 0600). Refuses to overwrite either."""
    with faults_told(as_json=as_json):
        authority = certificates_in(Path(f"{ca}.pem").read_bytes())[0]
        signer = FileSigner.load(Path(f"{ca}.key"))
        certificate_file, key_file = _new_files(folder, name, key, as_json)
        own = FileSigner.create(key_file, key)
        try:
            der = issue(
                subject or f"CN={escape_value(name)}",
                public_key_der=own.public_key_der,
                authority_der=authority,
                signer=signer,
                profile=SERVER if server else DEVICE,
                now=SystemClock().now(),
                days=days,
                alternative_names=tuple(san or ()),
            )
        except BaseException:
            key_file.unlink()  # a key without its certificate would be in the way of the next try
            raise
        certificate_file.write_bytes(render_certificate(der))
    _told(certificate_file, key_file, der, as_json)


def _new_files(folder: Path, name: str, key: str, as_json: bool) -> tuple[Path, Path]:
    if key not in KEY_KINDS:
        fail(f"{key!r} is no kind of key: {', '.join(KEY_KINDS)}", "key-kind-unknown", as_json=as_json)
    folder.mkdir(parents=True, exist_ok=True)
    certificate_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    for path in (certificate_file, key_file):
        if path.exists():
            fail(f"{path} exists and is not overwritten", "file-exists", as_json=as_json)
    return certificate_file, key_file


def _told(certificate_file: Path, key_file: Path, der: bytes, as_json: bool) -> None:
    certificate = parse_certificate(der)
    if as_json:
        print_json(
            {
                "certificate": str(certificate_file),
                "key": str(key_file),
                "subject": certificate.subject_dn,
                "issuer": certificate.issuer_dn,
                "not-after": certificate.not_after.isoformat(),
                "fingerprint": certificate.fingerprint_hex,
            }
        )
        return
    out.print(
        f"{certificate_file}  {certificate.subject_dn}, valid until {certificate.not_after:%Y-%m-%d}", markup=False
    )
    out.print(f"{key_file}  its private key, readable by you only", markup=False)
