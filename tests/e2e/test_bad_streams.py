"""Bytes no device would send, at every TCP port and at every depth: before TLS, in TLS, in the protocol.

Each peer leaves in the end, and the server must let go of it. What is kept of the cases is their seed.
"""

import random
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from tests.support.abuse import (
    MIB,
    all_of,
    bare_tls,
    client_hello,
    noise,
    speak,
    spoiled,
    unharmed,
)
from tests.support.certificates import Issued, make_ca
from tests.support.fleet import MqttDevice, open_mqtt, present, tls_context, upload_request
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.mqtt_client import connect, encode, packet, publish, string

PORTS = ("mqtts", "https", "management")
GROWS_MAX_BYTES = 24 * MIB
TENANT = "acme"


@dataclass(frozen=True)
class Target:
    gateway: RunningGateway
    good: Issued
    context: ssl.SSLContext  # of a device that is admitted

    def port(self, name: str) -> int:
        return self.gateway.ports[name]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    quick = {"edge": {"handshake_deadline_s": 3.0, "close_deadline_s": 1.0}, "http": {"request_deadline_s": 3.0}}
    with running_gateway(tmp_path_factory.mktemp("gateway"), **quick) as gateway:
        ca = make_ca("CN=CA")
        gateway.trust(TENANT, ca, may_auto_provision=True)
        yield Target(gateway, ca.issue("CN=good"), tls_context(gateway, ca.issue("CN=mutant")))


@pytest.mark.parametrize("port", PORTS)
async def test_bytes_that_are_no_tls(target: Target, port: str) -> None:
    heads = (
        b"",
        b"\x16\x03\x01",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x80\x2e\x01",
        b"\x15\x03\x03\x00\x02",
    )
    lines = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        encode(connect(), 4),
        b"\x16\x03\x01\xff\xff" + b"\0" * 70_000,  # a record longer than any may be
        b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + b"\0" * 70_000,  # a message of 16 MiB
        b"\x16\x03\x01\x00\x00" * 5_000,  # records of nothing
        b"\x16\x03\x01\x00\x01\x01" * 2_000,  # a message in pieces of one byte
        b"\x15\x03\x01\x00\x02\x01\x00" * 5_000,  # warnings for ever
        b"\n" * 100_000,
    ]
    async with unharmed(target.gateway, target.good, grows_max_bytes=GROWS_MAX_BYTES):
        sent = [*noise(60, longest_bytes=3_000, seed=1, heads=heads), *lines]
        await all_of(speak(target.port(port), data) for data in sent)


@pytest.mark.parametrize("port", PORTS)
async def test_a_client_hello_cut_short_or_spoiled(target: Target, port: str) -> None:
    hello = client_hello(target.context)
    cut = [hello[:length] for length in range(1, len(hello), 7)]
    async with unharmed(target.gateway, target.good, grows_max_bytes=GROWS_MAX_BYTES):
        await all_of(speak(target.port(port), data) for data in [*cut, *spoiled(hello, 120, seed=2)])


async def say_in_tls(target: Target, port: str, data: bytes) -> None:
    """After the handshake: all of it, then goodbye."""
    async with bare_tls(target.port(port), target.context) as peer:
        for start in range(0, len(data), 16_000):
            peer.send(data[start : start + 16_000])
        await peer.leave()


async def break_tls(target: Target, port: str, data: bytes) -> None:
    """After the handshake: bytes in place of a record, and not even a goodbye."""
    async with bare_tls(target.port(port), target.context) as peer:
        peer.send_raw(data)
        await peer.leave(politely=False)


@pytest.mark.parametrize("port", PORTS)
async def test_garbage_inside_tls(target: Target, port: str) -> None:
    async with unharmed(target.gateway, target.good, grows_max_bytes=GROWS_MAX_BYTES):
        sent = [*noise(50, longest_bytes=2_000, seed=3), *noise(6, longest_bytes=200_000, seed=4)]
        await all_of(say_in_tls(target, port, data) for data in sent)


@pytest.mark.parametrize("port", PORTS)
async def test_garbage_in_place_of_tls_records(target: Target, port: str) -> None:
    heads = (b"", b"\x17\x03\x03\x00\x40", b"\x15\x03\x03\x00\x02", b"\x16\x03\x03\x00\x20", b"\x17\x03\x03\xff\xff")
    async with unharmed(target.gateway, target.good, grows_max_bytes=GROWS_MAX_BYTES):
        await all_of(break_tls(target, port, data) for data in noise(50, longest_bytes=500, seed=5, heads=heads))


def mqtt_streams(version: int) -> Sequence[bytes]:
    """What a device says from CONNECT to DISCONNECT, packet by packet."""
    bag = b"\0" if version == 5 else b""
    return [
        encode(connect(version, "device"), version),
        encode(publish("telemetry", b"x" * 40, qos=1, packet_id=1), version),
        encode(publish("event", b"y" * 40, qos=1, packet_id=2), version),
        packet(0x82, b"\0\3" + bag + string("command///req/#") + b"\1"),
        b"\xc0\0",
        packet(0xA2, b"\0\4" + bag + string("command///req/#")),
        b"\xe0\0",
    ]


@pytest.mark.parametrize("version", [4, 5])
async def test_spoiled_mqtt(target: Target, version: int) -> None:
    first, *others = mqtt_streams(version)
    behind = b"".join(others)
    async with unharmed(target.gateway, target.good, grows_max_bytes=GROWS_MAX_BYTES):
        sent = [*spoiled(first + behind, 60, seed=6), *(first + bad for bad in spoiled(behind, 120, seed=7))]
        await all_of(say_in_tls(target, "mqtts", data) for data in sent)


async def test_mqtt_that_breaks_the_rules_one_by_one(target: Target) -> None:
    hello = encode(connect(), 4)
    endless = b"\x30\xff\xff\xff\xff\x7f"  # a length that never ends
    sent = [
        hello + hello,
        encode(publish(qos=1), 4),  # before CONNECT
        hello + endless,
        b"\x10\xff\xff\xff\x7f" + b"\0" * 100_000,  # a CONNECT of 256 MiB
        hello + b"\x30\xff\xff\xff\x7f" + b"\0" * 100_000,  # a PUBLISH of 256 MiB
        hello + packet(0x36, string("t") + b"\0\1"),  # QoS 3
        hello + packet(0x32, string("t") + b"\0\0"),  # packet id 0
        hello + packet(0x30, string("a/+/b")),
        hello + packet(0x30, b"\0\4\xff\xfe\xfd\xfc"),  # a topic that is no UTF-8
        hello + packet(0x30, string("telemetry/\0")),
        hello + packet(0x30, b"\xff\xff"),  # a topic longer than its packet
        hello + packet(0x00, b"") + packet(0xF0, b""),
        hello + packet(0x40, b"\0\1") * 1000,  # acknowledgements of nothing
        hello + b"\xc0\0" * 5_000,
        hello + encode(publish(qos=1), 4) * 2_000,
        hello + packet(0x82, b"\0\1" + (string("a") + b"\0") * 500),
        packet(0x10, string("MQTT") + b"\4\xff\0\0"),  # every flag
        packet(0x10, string("MQIsdp") + b"\3\2\0\0\0\0"),
        packet(0x10, string("MQTT") + b"\x7f\2\0\0\0\0"),
    ]
    async with unharmed(target.gateway, target.good, grows_max_bytes=GROWS_MAX_BYTES):
        await all_of(say_in_tls(target, "mqtts", data) for data in sent)


HTTP_REQUESTS = (
    upload_request(b"hello")
    + upload_request(b"again", path="/event", headers="X-A: b\r\n")
    + (
        b"POST /telemetry HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n0\r\n\r\n"
    )
)


async def test_spoiled_http(target: Target) -> None:
    async with unharmed(target.gateway, target.good, grows_max_bytes=GROWS_MAX_BYTES):
        await all_of(say_in_tls(target, "https", data) for data in spoiled(HTTP_REQUESTS, 180, seed=8))


async def test_spoiled_requests_for_health_and_metrics(target: Target) -> None:
    good = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\nGET /liveness HTTP/1.1\r\nHost: x\r\n\r\n"
    async with unharmed(target.gateway, target.good, grows_max_bytes=GROWS_MAX_BYTES):
        await all_of(say_in_tls(target, "management", data) for data in spoiled(good, 100, seed=9))


async def test_http_that_breaks_the_rules_one_by_one(target: Target) -> None:
    head = b"POST /telemetry HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
    sent = [
        head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        head + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        head + b"Content-Length: -1\r\n\r\n",
        head + b"Content-Length: 99999999999999999999999\r\n\r\n",
        head + b"Content-Length: +5\r\n\r\nhello",
        head + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 5_000,
        head + b"Transfer-Encoding: chunked\r\n\r\n5;" + b"x" * 50_000,
        head.replace(b"\r\n", b"\n") + b"Content-Length: 5\n\nhello",
        head + b"A: " + b"x" * 100_000 + b"\r\n\r\n",
        head + b"".join(b"H%d: x\r\n" % number for number in range(5_000)) + b"\r\n",
        b"POST /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        head + b"Content-Length: 10000000\r\n\r\n" + b"x" * 1_000_000,
        b"POST /telemetry/%00/%0d%0a/%ff%fe HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/0.9\r\n\r\n",
        b"CONNECT evil.example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\0" * 20_000,
        upload_request(b"x") * 500,
    ]
    async with unharmed(target.gateway, target.good, grows_max_bytes=GROWS_MAX_BYTES):
        await all_of(say_in_tls(target, "https", data) for data in sent)


async def test_what_a_mutant_says_is_never_taken_for_another_devices(target: Target) -> None:
    """Everything kept in all of this came from a device that proved to be the one."""
    gateway = target.gateway
    async with unharmed(gateway, target.good, grows_max_bytes=GROWS_MAX_BYTES):
        chance = random.Random(10)
        first, *others = mqtt_streams(4)
        for bad in spoiled(b"".join(others), 40, seed=chance.randrange(1000)):
            await say_in_tls(target, "mqtts", first + bad)
    on_record = set(gateway.device_ids(TENANT))
    assert len(on_record) == 2
    assert {message.device_id for message in gateway.messages()} <= on_record


async def test_a_live_connection_is_untouched_by_its_neighbours(target: Target) -> None:
    live = await open_mqtt(target.gateway, target.good)
    async with present(live):
        for data in noise(40, longest_bytes=1_000, seed=11):
            await speak(target.port("mqtts"), data)
        assert isinstance(live, MqttDevice)
        assert await live.say(b"still here")
