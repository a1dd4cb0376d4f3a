"""The certificate made at the first start: once, whole, and never over somebody's files."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509

from conf.edge import EdgeSettings
from conf.sections import Settings
from kernel.clock import ManualClock
from tests.support.certificates import NOON
from tuhono.server_identity import server_identity


def made(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "tls" / "server.pem").read_bytes())


def test_a_certificate_is_made_where_there_is_none_and_kept_where_there_is_one(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    first = server_identity(settings, ManualClock(NOON))
    before = made(tmp_path)
    assert server_identity(settings, ManualClock(NOON)) == first and made(tmp_path) == before
    assert os.stat(first.key_file).st_mode & 0o777 == 0o600
    authority = x509.load_pem_x509_certificate((tmp_path / "tls" / "ca.pem").read_bytes())
    before.verify_directly_issued_by(authority)
    names = before.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)


def test_processes_that_start_together_make_one_certificate(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: server_identity(settings, ManualClock(NOON)), range(8)))
    assert sorted(path.name for path in (tmp_path / "tls").iterdir()) == [".lock", "ca.pem", "server.key", "server.pem"]


def test_a_key_left_by_an_attempt_that_was_cut_short_is_in_nobody_s_way(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "server.key").write_text("half a key")
    server_identity(Settings(data_dir=tmp_path), ManualClock(NOON))
    assert made(tmp_path)


def test_configured_files_are_used_and_nothing_is_made(tmp_path: Path) -> None:
    edge = EdgeSettings(certificate_file=Path("own.pem"), key_file=Path("own.key"))
    identity = server_identity(Settings(data_dir=tmp_path, edge=edge), ManualClock(NOON))
    assert (identity.certificate_file, identity.key_file) == (Path("own.pem"), Path("own.key"))
    assert not (tmp_path / "tls").exists()


def test_a_made_certificate_that_ends_is_an_error_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock(NOON)
    server_identity(Settings(data_dir=tmp_path), clock)
    assert "server-certificate.ends" not in caplog.text
    clock.advance(3640 * 86_400)
    server_identity(Settings(data_dir=tmp_path), clock)
    assert "server-certificate.ends" in caplog.text
