"""Device names that want to be something else: a template, a path, a query, a log line.

Each is tried as common name, as alternative name and as serial number. What comes of it is a device whose id
is harmless, or a refusal with a name; and whoever reads the record, the log or the command line's output
afterwards is not deceived.
"""

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from kernel.ids import DEVICE_ID_PATTERN, ID_MAX_CHARS, IdRule, generate_id
from tests.support.certificates import Issued, Paths, make_ca, new_key
from tests.support.fleet import HandshakeRefused, MqttDevice, defects, present, serves
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.raw_certificates import assemble, extension, rdn, sequence, tlv
from tests.support.waiting import until_blocking

UTF8, PRINTABLE, IA5 = 0x0C, 0x13, 0x16
COMMON_NAME, ALTERNATIVE_NAME = "2.5.4.3", "2.5.29.17"
DNS_NAME, URI = 0x82, 0x86  # tags of general names
ACCEPTED, BAD_CREDENTIALS, NOT_AUTHORIZED = 0, 4, 5
HANDSHAKE = -1

HOSTILE = {
    "template": "{{subject-cn}}",
    "unfinished template": "{{subject-cn",
    "regular expression": r"\1\g<0>(.*)",
    "format string": "%s%n{0.__class__}",
    "parent": "..",
    "path": "../../../../etc/passwd",
    "absolute path": "/dev/null",
    "JSON": '","id":"admin","x":"',
    "SQL": "x'; DROP TABLE devices; --",
    "MQTT wildcards": "+/#",
    "MQTT shared": "$share/g/t",
    "lines": "a\r\nHTTP/1.1 200 OK\r\n\r\n",
    "forged log record": 'a\n{"event": "device.admitted"}',
    "NUL": "admin\0.evil",
    "terminal": "\x1b[2J\x1b]0;owned\x07",
    "right to left": "a\u202egnp.exe",
    "separators": "a,O=Admin+CN=root",
    "quotes": '"\\"',
    "leading blank": " a ",
    "markup": "<script>alert(1)</script>[red]x[/red]",
    "emoji": "👾" * 20,
    "lone dot": ".",
    "empty": "",
    "long": "a" * 5000,
    "long for an id": "a" * 300,
}
TEMPLATES = ("{{subject-cn}}", "x-{{san-dns}}-{{san-uri}}", None)


@dataclass(frozen=True)
class Outcome:
    """What became of one device."""

    code: int
    device_id: str | None = None
    refusal: str | None = None


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway")) as running:
        files = set(running.data_dir.iterdir())
        yield running
        assert defects(running) == []
        assert set(running.data_dir.iterdir()) == files  # no name became a path


def hostile(gateway: RunningGateway, ca: Issued, raw: bytes, *, tag: int = UTF8, serial: bytes = b"\x01") -> Paths:
    """A certificate that carries the bytes wherever a template may look."""
    key = new_key()
    names = sequence(tlv(DNS_NAME, raw), tlv(URI, raw))
    der = assemble(
        subject=sequence(rdn((COMMON_NAME, tag, raw))),
        issuer=ca.certificate.subject.public_bytes(),
        key=key,
        signed_by=ca.key,
        serial=serial,
        extensions=[extension(ALTERNATIVE_NAME, names)],
    )
    paths = gateway.files(Issued(certificate=ca.certificate, key=key))
    paths.certificate.write_text(ssl.DER_cert_to_PEM_cert(der))  # no library reads it before the gateway does
    return paths


async def outcome_of(gateway: RunningGateway, tenant: str, device_files: Paths) -> Outcome:
    """Connects over MQTT and sends one message where it may."""
    known = set(gateway.device_ids(tenant))
    refused = len(gateway.audit("device.refused"))
    try:
        device = await MqttDevice.open(gateway, device_files)
        async with present(device):
            code = await device.connect()
            if code == ACCEPTED:
                assert await device.say(b"from a device with a strange name")
    except HandshakeRefused:
        code = HANDSHAKE
    if code == ACCEPTED:
        [device_id] = set(gateway.device_ids(tenant)) - known
        return Outcome(code, device_id=device_id)
    assert set(gateway.device_ids(tenant)) == known
    until_blocking(lambda: len(gateway.audit("device.refused")) > refused)
    return Outcome(code, refusal=gateway.audit("device.refused")[-1].code)


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_name_makes_a_harmless_device_or_a_named_refusal(gateway: RunningGateway, name: str) -> None:
    rule = IdRule(DEVICE_ID_PATTERN, max_chars=ID_MAX_CHARS)
    text = HOSTILE[name]
    for template in TEMPLATES:
        tenant = generate_id()
        ca = make_ca(f"CN=CA,O={tenant}")
        gateway.trust(tenant, ca, may_auto_provision=True, device_id_template=template)
        outcome = await outcome_of(gateway, tenant, hostile(gateway, ca, text.encode()))
        if outcome.device_id is None:
            assert outcome.code in {BAD_CREDENTIALS, NOT_AUTHORIZED, HANDSHAKE}
            assert outcome.refusal not in {None, "internal", "refused", "unauthenticated", "malformed"}
            continue
        assert rule.allows(outcome.device_id), outcome
        if template == "{{subject-cn}}":
            assert outcome.device_id == text  # it is what the certificate says, or nothing is
        [message] = [kept for kept in gateway.messages(tenant) if kept.payload is not None]
        assert message.device_id == outcome.device_id


async def test_what_a_hostile_name_leaves_behind_is_read_as_what_it_is(gateway: RunningGateway) -> None:
    """Every record stays one line of valid JSON, and none says what a name wanted it to say."""
    tenant = generate_id()
    ca = make_ca(f"CN=CA,O={tenant}")
    gateway.trust(tenant, ca, may_auto_provision=True)
    admitted = 0
    for text in HOSTILE.values():
        admitted += (await outcome_of(gateway, tenant, hostile(gateway, ca, text.encode()))).code == ACCEPTED
    assert 0 < admitted < len(HOSTILE)
    assert len(gateway.device_ids(tenant)) == admitted

    listed = tuhono(gateway, "device", "list", tenant, "--json").splitlines()
    assert [json.loads(line)["id"] for line in listed] == sorted(gateway.device_ids(tenant))
    told = [json.loads(line) for line in tuhono(gateway, "tail", "--json", "--no-follow", "--since", "0").splitlines()]
    assert {entry["kind"] for entry in told} <= {"telemetry", "provisioning", "refusal"}
    assert all(isinstance(record["event"], str) for record in gateway.log())
    forged = [record for record in gateway.log() if record["event"] == "device.admitted" and "logger" not in record]
    assert forged == []
    for words in (["tail", "--no-follow", "-n", "1000"], ["device", "list", tenant]):
        assert not set(tuhono(gateway, *words)) & set("\x1b\x07\0\r")
    await serves(gateway, ca.issue("CN=good"))


@pytest.mark.parametrize("serial", [b"\0", b"\xff", b"\x80" + b"\0" * 19, b"\x7f" * 20, b"\x7f" * 200])
async def test_odd_serial_numbers_make_harmless_ids(gateway: RunningGateway, serial: bytes) -> None:
    """Zero, negative, as long as the standard allows, and much longer."""
    tenant = generate_id()
    ca = make_ca(f"CN=CA,O={tenant}")
    gateway.trust(tenant, ca, may_auto_provision=True, device_id_template="{{serial-number}}")
    outcome = await outcome_of(gateway, tenant, hostile(gateway, ca, b"odd", serial=serial))
    if outcome.device_id is None:
        assert outcome.refusal in {"device-id-invalid", "certificate-unreadable"}
    else:
        assert IdRule(DEVICE_ID_PATTERN).allows(outcome.device_id)


@pytest.mark.parametrize(("tag", "raw"), [(IA5, b"\xe9"), (PRINTABLE, b"caf\xe9"), (PRINTABLE, b"a\0b")])
async def test_bytes_that_are_not_what_their_string_type_promises_are_refused(
    gateway: RunningGateway, tag: int, raw: bytes
) -> None:
    tenant = generate_id()
    ca = make_ca(f"CN=CA,O={tenant}")
    gateway.trust(tenant, ca, may_auto_provision=True)
    outcome = await outcome_of(gateway, tenant, hostile(gateway, ca, raw, tag=tag))
    assert outcome == Outcome(BAD_CREDENTIALS, refusal="name-unreadable")


def tuhono(gateway: RunningGateway, *words: str) -> str:
    """What a command of the operator prints."""
    command = [sys.executable, "-m", "tuhono", *words, "--config", gateway.config, "-d", gateway.data_dir]
    done = subprocess.run(list(map(str, command)), check=True, capture_output=True, timeout=30, text=True)
    return done.stdout
