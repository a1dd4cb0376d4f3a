"""`tuhono explain` tells what the record of refusals says of a certificate."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.certificates import make_ca
from tests.support.gateway import running_gateway


@pytest.mark.needs_tool("curl")
def test_a_certificate_that_was_refused_lately_says_when_and_why(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway:
        stranger = gateway.files(make_ca("CN=Nobody").issue("CN=stranger"))
        arguments = gateway.curl(stranger, "/telemetry")
        subprocess.run(["curl", *arguments, "-d", "x"], capture_output=True, timeout=30, check=True)
        gateway.wait_for_refusal("untrusted-issuer")
        command = [sys.executable, "-m", "tuhono", "explain", stranger.certificate, "--json"]
        told = subprocess.run(
            [*map(str, command), "--data-dir", str(gateway.data_dir)], capture_output=True, text=True, timeout=30
        )
        report = json.loads(told.stdout)
        assert told.returncode == 1 and report["code"] == "untrusted-issuer"
        [refusal] = report["refused-lately"]
        assert refusal["code"] == "untrusted-issuer" and refusal["remote"].startswith("127.0.0.1:")
