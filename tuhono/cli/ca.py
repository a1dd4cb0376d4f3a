"""`tuhono ca`: a CA for development, and certificates for devices that are being tried out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuhono.cli.context import AsJson
from tuhono.cli.errors import FileKept, FileNameInvalid, FileUnusable, KeyKindUnknown
from tuhono.cli.output import print_json, say

if TYPE_CHECKING:
    from pki.signers.file import FileSigner

KEY_KINDS = ("ec-p256", "ec-p384", "ed25519", "rsa-2048", "rsa-3072", "rsa-4096")  # pki's, without importing it
NAME_MAX_BYTES = 250  # of a file without its ending

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="A CA for development.\n\nIn production your manufacturer's or your own CA issues.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the files are called: NAME.pem and NAME.key.")]
Subject = Annotated[
    str | None, typer.Option(metavar="DN", help="Distinguished name, 'CN=a,O=b'; the default is CN=NAME.")
]
KeyKind = Annotated[
    str,
    typer.Option(
        "--key", metavar="KIND", help=f"Kind of key: {', '.join(KEY_KINDS)}.", autocompletion=lambda: list(KEY_KINDS)
    ),
]
Days = Annotated[int, typer.Option(min=1, max=36_500, metavar="N", help="Days it is valid.")]
Folder = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder the files are written to.")]


@app.command()
def create(
    name: Name,
    subject: Subject = None,
    key: KeyKind = "ec-p256",
    days: Days = 3650,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Make a CA: its certificate and private key.

    The key is readable by you only (mode 0600). Nothing is ever overwritten.
    """
    from kernel.clock import SystemClock
    from pki.issuance import create_authority

    def made(own: FileSigner) -> bytes:
        return create_authority(_subject(name, subject), signer=own, now=SystemClock().now(), days=days)

    _make(folder, name, key, made, as_json)


@app.command("issue")
def issue_(
    ca: Annotated[
        str, typer.Argument(metavar="CA", help="The CA, as named when it was made: CA.pem and CA.key are read.")
    ],
    name: Name,
    subject: Subject = None,
    server: Annotated[bool, typer.Option("--server", help="For a server instead of a device; wants --san.")] = False,
    san: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Alternative name: dns:…, ip:…, uri:… or email:…; may be repeated."),
    ] = None,
    key: KeyKind = "ec-p256",
    days: Days = 365,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Issue a certificate with a new private key.

    The key is readable by you only (mode 0600). Nothing is ever overwritten. A certificate never outlives its CA.
    """
    from kernel.clock import SystemClock
    from pki.issuance import issue
    from pki.profiles import DEVICE, SERVER
    from pki.signers.file import FileSigner
    from tuhono.cli.given import one_certificate_of

    stem = ca.removesuffix(".pem")
    authority = one_certificate_of(Path(f"{stem}.pem"), "a CA")
    signer = FileSigner.load(Path(f"{stem}.key"))

    def made(own: FileSigner) -> bytes:
        return issue(
            _subject(name, subject),
            public_key_der=own.public_key_der,
            authority_der=authority,
            signer=signer,
            profile=SERVER if server else DEVICE,
            now=SystemClock().now(),
            days=days,
            alternative_names=tuple(san or ()),
        )

    _make(folder, name, key, made, as_json)


def _make(folder: Path, name: str, key: str, made: Callable[[FileSigner], bytes], as_json: bool) -> None:
    """A key file and a certificate file, both or neither."""
    from pki.pem import render_certificate
    from pki.signers.file import FileSigner

    if key not in KEY_KINDS:
        raise KeyKindUnknown(f"{key!r} is no kind of key; there are {', '.join(KEY_KINDS)}")
    certificate_file, key_file = _new_files(folder, name)
    own = FileSigner.create(key_file, key)
    try:
        der = made(own)
        with certificate_file.open("xb") as file:
            file.write(render_certificate(der))
    except BaseException:
        key_file.unlink()  # a key without its certificate would be in the way of the next try
        raise
    _tell(certificate_file, key_file, der, as_json)


def _subject(name: str, subject: str | None) -> str:
    """Judged before anything is made, so that the sentence names it. Raises NameInvalid."""
    from pki.errors import NameInvalid
    from pki.name_values import escape_value
    from pki.names import encode_name

    chosen = f"CN={escape_value(name)}" if subject is None else subject
    try:
        encode_name(chosen)
    except NameInvalid as fault:
        raise NameInvalid(f"the subject {chosen!r} is no distinguished name: {fault}") from fault
    return chosen


def _new_files(folder: Path, name: str) -> tuple[Path, Path]:
    if name in {"", ".", ".."} or "/" in name or "\0" in name or len(name.encode()) > NAME_MAX_BYTES:
        raise FileNameInvalid(
            f"{name!r} is no name for files: 1 to {NAME_MAX_BYTES} bytes and no '/'; --out names the folder"
        )
    if folder.exists() and not folder.is_dir():
        raise FileUnusable(f"{folder} is no folder")
    folder.mkdir(parents=True, exist_ok=True)
    certificate_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    for path in (certificate_file, key_file):
        if path.exists() or path.is_symlink():
            raise FileKept(f"{path} exists and is not overwritten")
    return certificate_file, key_file


def _tell(certificate_file: Path, key_file: Path, der: bytes, as_json: bool) -> None:
    from pki.certificates import parse_certificate
    from tuhono.cli.output import shown

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
    subject = shown(certificate.subject_dn)
    say(f"{shown(certificate_file)}  {subject}, valid until {certificate.not_after:%Y-%m-%d}")
    say(f"{shown(key_file)}  its private key, readable by you only")
