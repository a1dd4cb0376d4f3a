"""Certificates made by the openssl command line, and openssl reading ours."""

import shutil
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pki.certificates import Certificate, parse_certificate
from pki.chains import PathRules, PathVerdict, authority_of, judge
from pki.errors import (
    CertificateExpired,
    CertificateNotYetValid,
    ChainRejected,
    ExtendedKeyUsageForbids,
    KeyFileExists,
    KeyFileUnreadable,
    KeyTooWeak,
    PathIncomplete,
    PathTooLong,
    SignatureInvalid,
    SignatureTooWeak,
)
from pki.issuance import create_authority, issue
from pki.pem import certificates_in, render_certificate
from pki.profiles import DEVICE, SERVER
from pki.signers.file import KEY_FILE_MAX_BYTES, KEY_KINDS, FileSigner
from tests.support.certificates import new_key

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command line")

NOW = datetime.now(UTC) + timedelta(hours=1)  # what is made below is valid then
EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
RSA = ["-newkey", "rsa:2048"]


class Workshop:
    """A folder in which openssl makes keys and certificates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            ["openssl", *arguments], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def authority(self, stem: str, subject: str, key: list[str], *options: str) -> bytes:
        self.run(
            "req", "-x509", *key, "-nodes", "-keyout", f"{stem}.key", "-out", f"{stem}.pem", "-subj", subject,
            "-days", "30", *options,
        )  # fmt: skip
        return self.der(stem)

    def request(self, stem: str, subject: str, key: list[str]) -> None:
        self.run("req", "-new", *key, "-nodes", "-keyout", f"{stem}.key", "-out", f"{stem}.csr", "-subj", subject)

    def certificate(self, stem: str, ca: str, *options: str, extensions: str = "") -> bytes:
        """What `openssl x509 -req` makes: version 1 unless there are extensions."""
        if extensions:
            (self.folder / f"{stem}.ext").write_text(extensions)
            options = (*options, "-extfile", f"{stem}.ext")
        self.run(
            "x509", "-req", "-in", f"{stem}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial",
            "-out", f"{stem}.pem", "-days", "10", *options,
        )  # fmt: skip
        return self.der(stem)

    def der(self, stem: str) -> bytes:
        return certificates_in((self.folder / f"{stem}.pem").read_bytes())[0]


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def judged(chain: list[bytes], *anchors: bytes, at: datetime = NOW, rules: PathRules | None = None) -> PathVerdict:
    certificates: list[Certificate] = [parse_certificate(der) for der in chain]
    return judge(certificates, [authority_of(anchor) for anchor in anchors], at=at, rules=rules or PathRules())


def fault(verdict: PathVerdict) -> type[ChainRejected] | None:
    return type(verdict.fault) if verdict.fault else None


@pytest.mark.parametrize(
    "key",
    [EC, RSA, ["-newkey", "ed25519"], ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1"]],
    ids=["P-256", "RSA", "Ed25519", "P-384"],
)
def test_a_version_1_leaf_as_every_tutorial_makes_it(shop: Workshop, key: list[str]) -> None:
    ca = shop.authority("ca", "/CN=CA", key)
    shop.request("dev", "/O=Acme/CN=dev 1", key)
    leaf = shop.certificate("dev", "ca")
    certificate = parse_certificate(leaf)
    assert certificate.version == 1
    assert certificate.subject_dn == "CN=dev 1,O=Acme"
    assert fault(judged([leaf], ca)) is None


def test_the_name_is_spelled_as_openssl_spells_it_where_both_follow_rfc_2253(shop: Workshop) -> None:
    shop.authority("ca", r"/C=DE/O=Größe, \/ Ltd/OU=a+b/CN= lead", EC, "-utf8")
    spelled = shop.run("x509", "-in", "ca.pem", "-noout", "-subject", "-nameopt", "RFC2253,utf8,-esc_msb")
    assert f"subject={parse_certificate(shop.der('ca')).subject_dn}" == spelled.strip()


def test_an_impostor_of_the_same_name(shop: Workshop) -> None:
    trusted = shop.authority("ca", "/CN=CA", EC)
    shop.authority("impostor", "/CN=CA", EC)
    shop.request("dev", "/CN=dev", EC)
    assert fault(judged([shop.certificate("dev", "impostor")], trusted)) is SignatureInvalid


def test_a_stranger(shop: Workshop) -> None:
    shop.authority("ca", "/CN=CA", EC)
    other = shop.authority("other", "/CN=Other", EC)
    shop.request("dev", "/CN=dev", EC)
    assert fault(judged([shop.certificate("dev", "ca")], other)) is PathIncomplete


def test_validity(shop: Workshop) -> None:
    ca = shop.authority("ca", "/CN=CA", EC)
    shop.request("dev", "/CN=dev", EC)
    leaf = shop.certificate("dev", "ca")
    assert fault(judged([leaf], ca, at=NOW + timedelta(days=11))) is CertificateExpired
    assert fault(judged([leaf], ca, at=NOW - timedelta(days=2))) is CertificateNotYetValid


def test_extensions_of_a_configuration_file(shop: Workshop) -> None:
    ca = shop.authority("ca", "/CN=CA", RSA)
    shop.request("dev", "/CN=dev", EC)
    client = "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n"
    more = "subjectAltName=DNS:a.example,URI:urn:x,email:a@b.example,dirName:dn\nsubjectKeyIdentifier=hash\n"
    ids = "authorityKeyIdentifier=keyid,issuer\n[dn]\nCN=x\n"
    certificate = parse_certificate(shop.certificate("dev", "ca", extensions=client + more + ids))
    assert certificate.version == 3
    assert certificate.san_dns == ("a.example",)
    assert certificate.authority_key_id == parse_certificate(ca).subject_key_id
    assert fault(judged([certificate.der], ca)) is None
    server = shop.certificate("dev", "ca", extensions="extendedKeyUsage=serverAuth\n")
    assert fault(judged([server], ca)) is ExtendedKeyUsageForbids


def test_an_intermediate_and_its_path_length(shop: Workshop) -> None:
    root = shop.authority("root", "/CN=Root", EC)
    is_ca = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n"
    for stem, above in (("one", "root"), ("two", "one"), ("dev", "two")):
        shop.request(stem, f"/CN={stem}", EC)
        shop.certificate(stem, above, extensions=is_ca if stem != "dev" else "")
    one, two, deep = shop.der("one"), shop.der("two"), shop.der("dev")
    assert fault(judged([deep, two, one], root)) is PathTooLong
    shallow = shop.certificate("dev", "one")
    assert fault(judged([shallow, one], root)) is None
    assert fault(judged([shallow], root)) is PathIncomplete


@pytest.mark.parametrize("digest", ["md5", "sha1"])
def test_weak_digests(shop: Workshop, digest: str) -> None:
    ca = shop.authority("ca", "/CN=CA", RSA, f"-{digest}")
    shop.request("dev", "/CN=dev", RSA)
    assert fault(judged([shop.certificate("dev", "ca", f"-{digest}")], ca)) is SignatureTooWeak
    allowed = PathRules(allow_sha1=True, allow_md5=True)
    assert fault(judged([shop.der("dev")], ca, rules=allowed)) is None
    assert fault(judged([shop.certificate("dev", "ca", "-sha256")], ca)) is None


def test_weak_keys_and_explicit_curves(shop: Workshop) -> None:
    ca = shop.authority("ca", "/CN=CA", EC)
    shop.request("small", "/CN=dev", ["-newkey", "rsa:1024"])
    assert fault(judged([shop.certificate("small", "ca")], ca)) is KeyTooWeak
    explicit = [*EC, "-pkeyopt", "ec_param_enc:explicit"]
    shop.request("explicit", "/CN=dev", explicit)
    leaf = shop.certificate("explicit", "ca")
    assert parse_certificate(leaf).key_bits == 256
    assert fault(judged([leaf], ca)) is KeyTooWeak
    assert fault(judged([leaf], ca, rules=PathRules(allow_explicit_curves=True))) is None


def test_signatures_with_pss(shop: Workshop) -> None:
    pss = ["-sigopt", "rsa_padding_mode:pss"]
    ca = shop.authority("ca", "/CN=CA", RSA, *pss)
    shop.request("dev", "/CN=dev", EC)
    assert fault(judged([shop.certificate("dev", "ca", *pss)], ca)) is None
    leaf = parse_certificate(shop.certificate("dev", "ca", *pss, "-sigopt", "rsa_mgf1_md:sha1"))
    assert leaf.signature_algorithm == "rsassaPss"
    assert fault(judged([leaf.der], ca)) is SignatureTooWeak


@pytest.mark.parametrize("serial", ["0", "-5", "0xff"])
def test_serial_numbers_nobody_should_use(shop: Workshop, serial: str) -> None:
    ca = shop.authority("ca", "/CN=CA", EC, "-set_serial", serial)
    shop.request("dev", "/CN=dev", EC)
    leaf = shop.certificate("dev", "ca", "-set_serial", serial)
    assert parse_certificate(leaf).serial_hex == {"0": "0", "-5": "fb", "0xff": "ff"}[serial]
    assert fault(judged([leaf], ca)) is None


def test_a_self_signed_device_certificate(shop: Workshop) -> None:
    plain = shop.authority("dev", "/CN=dev", RSA)
    other = shop.authority("other", "/CN=dev", RSA)
    assert fault(judged([plain], plain)) is None
    assert fault(judged([other], plain)) is SignatureInvalid


class TestOurs:
    """keys and certificates that openssl has to accept."""

    @pytest.mark.parametrize("kind", list(KEY_KINDS))
    def test_a_key_file_is_private_and_never_overwritten(self, shop: Workshop, kind: str) -> None:
        path = shop.folder / "ca.key"
        signer = FileSigner.create(path, kind)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        content = path.read_bytes()
        with pytest.raises(KeyFileExists):
            FileSigner.create(path, kind)
        assert path.read_bytes() == content
        assert FileSigner.load(path).public_key_der == signer.public_key_der
        shop.run("pkey", "-in", "ca.key", "-check", "-noout")

    def test_a_key_file_is_not_made_through_a_link(self, shop: Workshop) -> None:
        (shop.folder / "ca.key").symlink_to(shop.folder / "elsewhere")
        with pytest.raises(KeyFileExists):
            FileSigner.create(shop.folder / "ca.key")
        assert not (shop.folder / "elsewhere").exists()

    def test_an_unknown_kind_leaves_nothing_behind(self, shop: Workshop) -> None:
        with pytest.raises(KeyError):
            FileSigner.create(shop.folder / "ca.key", "dsa")
        assert not (shop.folder / "ca.key").exists()

    def test_files_without_a_usable_key_are_refused(self, shop: Workshop) -> None:
        shop.run("genpkey", "-algorithm", "x25519", "-out", "x25519.key")
        shop.run("genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:x", "-out", "locked.key")
        (shop.folder / "text.key").write_text("hello")
        (shop.folder / "huge.key").write_bytes(b"-" * (KEY_FILE_MAX_BYTES + 1))
        for stem in ("x25519", "locked", "text", "huge"):
            with pytest.raises(KeyFileUnreadable):
                FileSigner.load(shop.folder / f"{stem}.key")

    @pytest.mark.parametrize("kind", ["ec-p256", "ec-p384", "ed25519", "rsa-2048"])
    def test_openssl_verifies_what_we_issue(self, shop: Workshop, kind: str) -> None:
        signer = FileSigner.create(shop.folder / "ca.key", kind)
        ca = create_authority("CN=Dev CA,O=Tuhono", signer=signer, now=NOW, days=100)
        (shop.folder / "ca.pem").write_bytes(render_certificate(ca))
        for profile, purpose in ((DEVICE, "sslclient"), (SERVER, "sslserver")):
            leaf = issue(
                "CN=dev", public_key_der=FileSigner(new_key()).public_key_der, authority_der=ca, signer=signer,
                profile=profile, now=NOW, days=10, alternative_names=["dns:localhost"],
            )  # fmt: skip
            (shop.folder / "leaf.pem").write_bytes(render_certificate(leaf))
            at = str(int(NOW.timestamp()))
            shop.run("verify", "-attime", at, "-x509_strict", "-purpose", purpose, "-CAfile", "ca.pem", "leaf.pem")
            text = shop.run("x509", "-in", "leaf.pem", "-noout", "-text")
            assert "CA:FALSE" in text
            assert "DNS:localhost" in text
