"""`tuhono check-config` reads the certificates that a configuration names."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.certificates import make_ca, make_server


@pytest.mark.parametrize(("content", "status"), [(None, 0), (b"no certificate", 1)])
def test_a_certificate_that_cannot_serve_is_named(tmp_path: Path, content: bytes | None, status: int) -> None:
    files = make_server(make_ca("CN=CA")).write(tmp_path, "server")
    if content is not None:
        files.certificate.write_bytes(content)
    config = tmp_path / "tuhono.toml"
    config.write_text(f'[edge]\ncertificate_file = "{files.certificate}"\nkey_file = "{files.key}"\n')
    command = [sys.executable, "-m", "tuhono", "check-config", "--config", str(config)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert told.returncode == status, told
    assert (str(files.certificate) in told.stderr) == (status != 0)
