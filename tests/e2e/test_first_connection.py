"""The main job over real sockets: an unknown device connects, is registered, and its first message arrives."""

import subprocess
from pathlib import Path

from tests.support.certificates import make_ca
from tests.support.gateway import running_gateway


def test_a_stranger_of_a_provisioning_ca_is_registered_and_its_first_message_is_kept(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway:
        ca = make_ca("CN=CA,O=Acme")
        gateway.trust("acme", ca, may_auto_provision=True)
        device = gateway.files(ca.issue("CN=dev-1,O=Acme"))
        answer = subprocess.run(
            ["curl", *gateway.curl(device, "/telemetry"), "-H", "Content-Type: text/plain", "-d", "hello"],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert answer.stdout.startswith("HTTP/1.1 202"), answer
        gateway.wait_for_payloads(b"hello")
        [device_id] = gateway.device_ids("acme")
        assert gateway.device("acme", device_id).status.notification_sent
