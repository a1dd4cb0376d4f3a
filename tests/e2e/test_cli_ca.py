"""`tuhono ca`: certificates openssl accepts, keys nobody else reads, and nothing ever overwritten."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import Tool
from tests.support.command_line import tuhono

KINDS = ["ec-p256", "ec-p384", "ed25519", "rsa-2048", "rsa-3072", "rsa-4096"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def openssl(tool: Tool, *words: object) -> str:
    done = subprocess.run([tool("openssl"), *map(str, words)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.needs_tool("openssl")
@pytest.mark.parametrize("kind", KINDS)
def test_openssl_accepts_what_is_issued(tool: Tool, here: Path, kind: str) -> None:
    below = "rsa-2048" if kind.startswith("rsa") else kind  # long ones take seconds to find
    assert tuhono("ca", "create", "root", "--key", kind).status == 0
    assert tuhono("ca", "issue", "root", "dev", "--key", below, "--san", "dns:dev.example.com").status == 0
    assert tuhono("ca", "issue", "root.pem", "srv", "--server", "--san", "dns:localhost", "--san", "ip:::1").status == 0
    assert "dev.pem: OK" in openssl(
        tool, "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "root.pem", "dev.pem"
    )
    assert "srv.pem: OK" in openssl(
        tool, "verify", "-x509_strict", "-purpose", "sslserver", "-verify_ip", "::1", "-CAfile", "root.pem", "srv.pem"
    )
    for name in ("root", "dev", "srv"):
        public = openssl(tool, "x509", "-in", f"{name}.pem", "-noout", "-pubkey")
        assert openssl(tool, "pkey", "-in", f"{name}.key", "-pubout") == public
        assert (here / f"{name}.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.needs_tool("openssl")
@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("CN=a b,O=c", "CN=a b,O=c"),
        (r"CN=a\,b\+c\"\<\>\;\#\\,O=x", r"CN=a\,b\+c\"\<\>\;#\\,O=x"),
        ("CN=Ünïcödé,L=京都", "CN=Ünïcödé,L=京都"),
        (r"CN=\ lead and trail\ ", r"CN=\ lead and trail\ "),
        ("CN=a+UID=b,O=c", None),
        ("1.2.3.4=#0c0161,CN=x", None),
    ],
)
def test_a_subject_of_any_letters_is_kept(tool: Tool, subject: str, shown: str | None) -> None:
    tuhono("ca", "create", "root")
    said = tuhono("ca", "issue", "root", "dev", "--subject", subject, "--json")
    assert said.status == 0, said.err
    assert Path("dev.pem").exists()
    if shown is not None:
        printed = openssl(tool, "x509", "-in", "dev.pem", "-noout", "-subject", "-nameopt", "RFC2253,utf8,-esc_msb")
        assert printed.rstrip("\n") == f"subject={shown}"


@pytest.mark.parametrize(
    "name", ["a,b", 'q"uote', "plus+", "eq=", "#hash", " lead", "back\\slash", "ünï", "a;b<c>", "*"]
)
def test_a_name_becomes_file_and_subject_as_it_is(name: str) -> None:
    tuhono("ca", "create", "root")
    said = tuhono("ca", "issue", "root", name, "--json").json
    assert said["certificate"] == f"{name}.pem"
    assert Path(f"{name}.key").exists()
    assert said["issuer"] == "CN=root"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../up", "/abs", "n" * 251, "ü" * 126])
def test_a_name_that_is_no_file_name_is_refused(name: str, here: Path) -> None:
    said = tuhono("ca", "create", "--json", "--", name)
    assert said.status == 1
    assert said.fault["error"] == "file-name-invalid"
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("ending", ["pem", "key"])
def test_nothing_is_overwritten(ending: str, here: Path) -> None:
    for place in (here / f"mine.{ending}", here / f"link.{ending}"):
        if place.stem == "link":
            place.symlink_to(here / "nowhere")
        else:
            place.write_text("precious")
        said = tuhono("ca", "create", place.stem, "--json")
        assert said.status == 1
        assert said.fault["error"] == "file-exists"
        assert place.name in said.fault["detail"]
    assert (here / f"mine.{ending}").read_text() == "precious"
    assert not (here / "nowhere").exists()
    assert len(list(here.iterdir())) == 2


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["create", "x", "--subject", "no equals"], "name-invalid", "'no equals'"),
        (["create", "x", "--subject", ""], "issuance-refused", "subject"),
        (["create", "x", "--key", "dsa"], "key-kind-unknown", "'dsa'"),
        (["create", "x", "--out", "root.pem"], "file-unusable", "root.pem"),
        (["issue", "nope", "x"], "io-error", "nope.pem"),
        (["issue", "keyless", "x"], "io-error", "keyless.key"),
        (["issue", "garbage", "x"], "file-unusable", "garbage.pem"),
        (["issue", "dev", "x"], "issuance-refused", "'CN=dev'"),
        (["issue", "mixed", "x"], "issuance-refused", "'CN=root'"),
        (["issue", "badkey", "x"], "key-file-unreadable", "badkey.key"),
        (["issue", "folder", "x"], "io-error", "folder.pem"),
        (["issue", "two", "x"], "file-unusable", "two.pem holds 2 certificates"),
        (["issue", "root", "x", "--san", "nonsense"], "issuance-refused", "'nonsense'"),
        (["issue", "root", "x", "--san", "ip:1.2.3"], "issuance-refused", "'ip:1.2.3'"),
        (["issue", "root", "x", "--server"], "issuance-refused", "alternative names"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_not_made_is_told_and_leaves_nothing_behind(
    words: list[str], code: str, named: str, here: Path
) -> None:
    tuhono("ca", "create", "root")
    tuhono("ca", "issue", "root", "dev")
    root, dev = (here / "root.pem").read_text(), (here / "dev.pem").read_text()
    (here / "keyless.pem").write_text(root)
    (here / "garbage.pem").write_text("garbage")
    (here / "garbage.key").write_text("garbage")
    (here / "mixed.pem").write_text(root)
    (here / "mixed.key").write_text((here / "dev.key").read_text())
    (here / "badkey.pem").write_text(root)
    (here / "badkey.key").write_text("garbage")
    (here / "two.pem").write_text(root + dev)
    (here / "folder.pem").mkdir()
    before = sorted(here.iterdir())
    said = tuhono("ca", *words, "--json")
    assert said.status == 1
    assert said.fault["error"] == code
    assert named in said.fault["detail"]
    assert sorted(here.iterdir()) == before
    plain = tuhono("ca", *words)
    assert plain.err.startswith("error: ") and plain.err.endswith(f"({code})\n")
    assert plain.err.count("\n") == 1


@pytest.mark.parametrize("days", ["0", "-1", "36501", "soon"])
def test_a_number_of_days_out_of_bounds_is_a_wrong_command(days: str, here: Path) -> None:
    assert tuhono("ca", "create", "x", "--days", days).status == 2
    assert tuhono("ca", "create", "x", "--days", days, "--json").fault["error"] == "usage"
    assert list(here.iterdir()) == []


@pytest.mark.needs_tool("openssl")
def test_a_certificate_never_outlives_its_ca(tool: Tool) -> None:
    tuhono("ca", "create", "root", "--days", "10")
    tuhono("ca", "issue", "root", "dev", "--days", "1000")
    ends = [openssl(tool, "x509", "-in", f"{name}.pem", "-noout", "-enddate") for name in ("root", "dev")]
    assert ends[0] == ends[1]


def test_a_folder_is_made_for_the_files(here: Path) -> None:
    said = tuhono("ca", "create", "root", "--out", "a/b")
    assert said.status == 0
    assert sorted(path.name for path in (here / "a/b").iterdir()) == ["root.key", "root.pem"]
    assert tuhono("ca", "issue", "a/b/root", "dev").status == 0
