"""A connection from CONNECT to its end: who is let in, when a PUBACK is written, what an error leads to."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.mqtt.wire import packets as p
from adapters.mqtt.wire import properties as props
from conf.mqtt import MqttSettings
from kernel.errors import Malformed, TuhonoError, Unavailable
from kernel.ids import DeviceId
from messaging.errors import NorthboundUnavailable
from messaging.message import MessageKind
from registry.errors import CredentialUnknown, DeviceUnknown
from tenant.errors import AdapterDisabled
from tenant.ports import Change, ChangeKind
from tests.support.mqtt import PUMP, MqttBench, MqttDevice, mqtt_bench
from tests.support.mqtt_client import connect, encode, publish
from tests.support.waiting import until

pytestmark = pytest.mark.interpreted  # its uplink is a fake that inherits from ours


@pytest.fixture
async def bench() -> AsyncIterator[MqttBench]:
    async with mqtt_bench(MqttSettings(unacknowledged_max=4)) as made:
        yield made


def one_by_one(*packet_ids: int) -> list[p.Publish]:
    """Messages of which none is like the one before."""
    return [publish(("t", "telemetry")[at % 2], qos=1, packet_id=packet_id) for at, packet_id in enumerate(packet_ids)]


async def written(device: MqttDevice) -> list[tuple[int, bytes]]:
    await until(lambda: bool(device.stream.written))
    return device.take()


class TestAdmission:
    async def test_a_device_is_let_in_and_found_in_the_table(self, bench: MqttBench) -> None:
        device = bench.device()
        device.send(connect(4, "me"))
        assert await written(device) == [(0x20, b"\0\0")]
        assert bench.admission.asked[0].client_id == "me"
        assert bench.admission.asked[0].adapter == "hono-mqtt"
        (session,) = bench.sessions.of_device(PUMP.tenant_id, PUMP.device_id)
        assert (session.anchor_id, session.remote) == (PUMP.anchor_id, "192.0.2.7:1234")

    async def test_a_device_without_an_identifier_is_given_one(self, bench: MqttBench) -> None:
        device = bench.device(5)
        device.send(connect(5, ""))
        ((_, body),) = await written(device)
        given = bench.admission.asked[0].client_id
        assert given is not None
        assert b"\x12\x00\x24" + given.encode() in body

    @pytest.mark.parametrize(("version", "answer"), [(4, b"\0\x04"), (5, b"\0\x86\x12\x1f\0\x0fbad credentials")])
    async def test_a_stranger_is_told_and_closed(self, bench: MqttBench, version: int, answer: bytes) -> None:
        bench.admission.verdict = CredentialUnknown("CN=pump-1 is nobody")
        device = bench.device(version)
        device.send(connect(version))
        assert await written(device) == [(0x20, answer)]
        assert device.is_closed
        assert len(bench.sessions) == 0
        assert bench.metric(
            "hono_connections_attempts",
            tenant="UNKNOWN",
            outcome="unauthorized",
            cipher_suite="TLS_AES_256_GCM_SHA384",
        ) == 1  # fmt: skip

    async def test_a_defect_of_admission_is_logged_and_only_called_internal(
        self, bench: MqttBench, caplog: pytest.LogCaptureFixture
    ) -> None:
        bench.admission.verdict = ValueError("a secret")
        device = bench.device(5)
        device.send(connect(5))
        ((_, body),) = await written(device)
        assert body[1] == 0x80 and b"Internal server error" in body
        assert "admission.failed" in caplog.messages
        good = await self._another(bench)
        assert not good.is_closed

    async def _another(self, bench: MqttBench) -> MqttDevice:
        bench.admission.verdict = PUMP
        return await bench.connected()

    async def test_packets_behind_the_connect_wait_for_the_verdict(self, bench: MqttBench) -> None:
        bench.admission.gate = asyncio.Event()
        device = bench.device()
        device.send(connect(), publish(qos=1, packet_id=1))
        device.send(publish(qos=1, packet_id=2), p.PingRequest())
        await until(lambda: bench.admission.asked)
        assert not bench.uplink.uploads and not device.stream.written
        bench.admission.gate.set()
        assert await written(device) == [(0x20, b"\0\0"), (0xD0, b"")]
        assert len(bench.uplink.uploads) == 2

    async def test_what_is_held_for_the_verdict_is_bounded(self, bench: MqttBench) -> None:
        bench.admission.gate = asyncio.Event()
        device = bench.device()
        device.send(connect())
        assert not device.stream.is_paused, "nothing is held, and its going should be seen"
        device.send_bytes(encode(p.PingRequest(), 4) * 3)
        assert device.stream.is_paused, "all but this one read waits in the peer"
        bench.admission.gate.set()
        pongs = await written(device)
        assert len(pongs) == 1 + 3
        assert not device.stream.is_paused

    async def test_a_verdict_for_a_connection_that_is_gone_is_ignored(self, bench: MqttBench) -> None:
        bench.admission.gate = asyncio.Event()
        device = bench.device()
        device.send(connect())
        await until(lambda: bench.admission.asked)
        device.handler.ended()
        device.stream.close()
        bench.admission.gate.set()
        await bench.connected()
        assert len(bench.sessions) == 1
        assert not device.stream.written

    async def test_too_many_at_one_time_are_sent_elsewhere(self) -> None:
        async with mqtt_bench(MqttSettings(admissions_max=1)) as bench:
            bench.admission.gate = asyncio.Event()
            first, second = bench.device(4), bench.device(5)
            first.send(connect(4))
            second.send(connect(5))
            ((_, body),) = await written(second)
            assert body[1] == 0x9C
            bench.admission.gate.set()
            assert await written(first) == [(0x20, b"\0\0")]

    async def test_without_authentication_a_device_is_anonymous(self, bench: MqttBench) -> None:
        bench.admission.verdict = None
        device = await bench.connected()
        assert len(bench.sessions) == 0
        assert bench.metric("hono_connections_unauthenticated") == 1
        device.send(p.Disconnect())
        assert bench.metric("hono_connections_unauthenticated") == 0

    async def test_a_client_that_cannot_take_the_connack_is_closed(self, bench: MqttBench) -> None:
        device = bench.device(5)
        device.send(connect(5, properties={props.MAXIMUM_PACKET_SIZE: 10}))
        await until(lambda: device.is_closed)
        assert not device.stream.written
        assert len(bench.sessions) == 0

    async def test_before_the_adapter_runs_nobody_is_let_in(self) -> None:
        bench = MqttBench(MqttSettings())
        device = bench.device()
        device.send(connect())
        assert device.take() == [(0x20, b"\0\x03")]


class TestMessages:
    async def test_a_message_is_acknowledged_once_it_is_kept_and_not_before(self, bench: MqttBench) -> None:
        device = await bench.connected()
        device.send(publish("event", b"hot", qos=1, packet_id=7))
        (upload,) = bench.uplink.uploads
        assert (upload.head.kind, upload.payload, upload.head.qos) == (MessageKind.EVENT, b"hot", 1)
        await asyncio.sleep(0)
        assert not device.stream.written
        bench.uplink.settle()
        assert await written(device) == [(0x40, b"\0\x07")]

    async def test_acknowledgements_of_one_turn_are_one_write(self, bench: MqttBench) -> None:
        device = await bench.connected()
        device.send(*one_by_one(1, 2, 3))
        for _ in range(3):
            bench.uplink.settle()
        await until(lambda: bool(device.stream.written))
        assert device.stream.written == [bytes.fromhex("400200014002000240020003")]

    async def test_what_one_chunk_gives_rise_to_is_one_write(self, bench: MqttBench) -> None:
        device = await bench.connected()
        bench.uplink.is_prompt = True
        device.send(publish(qos=1, packet_id=1), p.PingRequest(), publish(qos=1, packet_id=2))
        assert device.stream.written == [bytes.fromhex("40020001d00040020002")]

    async def test_acknowledgements_keep_the_order_of_the_messages(self, bench: MqttBench) -> None:
        device = await bench.connected()
        device.send(*one_by_one(1, 2))
        bench.uplink.settle(index=1)
        await asyncio.sleep(0)
        assert not device.stream.written
        bench.uplink.settle()
        assert await written(device) == [(0x40, b"\0\x01"), (0x40, b"\0\x02")]

    async def test_telemetry_of_qos_0_is_not_acknowledged(self, bench: MqttBench) -> None:
        device = await bench.connected()
        device.send(publish("t"), p.PingRequest())
        bench.uplink.settle()
        assert await written(device) == [(0xD0, b"")]

    async def test_a_3_1_1_device_too_far_ahead_waits_and_goes_on(self, bench: MqttBench) -> None:
        device = await bench.connected()
        device.send(*one_by_one(1, 2, 3, 4, 5, 6, 7))
        assert len(bench.uplink.uploads) == 4
        bench.uplink.settle()
        await until(lambda: len(bench.uplink.uploads) == 5)
        while bench.uplink.waiting:
            bench.uplink.settle()
            await asyncio.sleep(0)
        await until(lambda: len(bench.uplink.uploads) == 7)
        while bench.uplink.waiting:
            bench.uplink.settle()
        await asyncio.sleep(0)
        assert [body[1] for _, body in device.take()] == [1, 2, 3, 4, 5, 6, 7]

    async def test_a_3_1_1_device_far_too_far_ahead_is_not_read(self, bench: MqttBench) -> None:
        device = await bench.connected()
        device.send(*one_by_one(1, 2, 3, 4))
        device.send_bytes(encode(publish(payload=bytes(2000)), 4) * 9)
        assert device.stream.is_paused
        for _ in range(4):
            bench.uplink.settle()
        await until(lambda: len(bench.uplink.uploads) == 8)
        assert device.stream.is_paused
        bench.uplink.is_prompt = True
        bench.uplink.settle()
        await until(lambda: not device.stream.is_paused)
        assert len(bench.uplink.uploads) == 4 + 9

    async def test_a_version_5_device_too_far_ahead_is_cut_off(self, bench: MqttBench) -> None:
        device = await bench.connected(5)
        device.send(*[publish(qos=1, packet_id=packet_id) for packet_id in range(1, 6)])
        ((first, body),) = device.take()
        assert (first, body[0]) == (0xE0, 0x93)
        assert device.is_closed

    async def test_late_word_of_a_message_finds_nobody(self, bench: MqttBench) -> None:
        device = await bench.connected()
        device.send(publish(qos=1))
        device.handler.ended()
        device.stream.close()
        bench.uplink.settle()
        bench.uplink.uploads.clear()
        await asyncio.sleep(0)
        assert not device.stream.written

    async def test_a_message_too_large_closes(self, bench: MqttBench) -> None:
        device = await bench.connected()
        device.send(publish(payload=bytes(2048 + 256), qos=1))
        assert device.is_closed and not device.stream.written and not bench.uplink.uploads

    async def test_subscriptions_are_refused_and_their_end_confirmed(self, bench: MqttBench) -> None:
        device = await bench.connected(5)
        lines = (p.Filter("command///req/#", 1), p.Filter("$share/a/b", 0))
        device.send(p.Subscribe(1, lines), p.Unsubscribe(2, ("command///req/#",)))
        assert device.take() == [(0x90, b"\0\1\0\x8f\x9e"), (0xB0, b"\0\2\0\x11")]

    async def test_a_defect_of_the_uplink_ends_this_connection_only(
        self, bench: MqttBench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        device, other = await bench.connected(5, client_id="a"), await bench.connected(5, client_id="b")
        monkeypatch.setattr(bench.uplink, "submit", None)
        device.send(publish())
        ((first, body),) = device.take()
        assert (first, body[0]) == (0xE0, 0x80)
        assert device.is_closed and not other.is_closed
        assert "connection.failed" in caplog.messages


class TestRefusedMessages:
    @pytest.mark.parametrize(
        ("topic", "qos", "reason"),
        [("foo", 0, 0x90), ("/t", 1, 0x90), ("e", 0, 0x9B), ("c///s/1/200", 1, 0x90)],
    )
    async def test_by_default_the_connection_is_closed(
        self, bench: MqttBench, topic: str, qos: int, reason: int
    ) -> None:
        device = await bench.connected(5)
        device.send(publish(topic, qos=qos), p.PingRequest())
        ((first, body),) = device.take()
        assert (first, body[0]) == (0xE0, reason)
        assert device.is_closed and not bench.uplink.uploads

    async def test_a_3_1_1_device_is_just_closed(self, bench: MqttBench) -> None:
        device = await bench.connected()
        device.send(publish("e", qos=2))
        assert device.is_closed and not device.stream.written

    @pytest.mark.parametrize("on_error", ["default", "ignore", "skip-ack"])
    async def test_what_would_need_a_pubrec_closes_whatever_the_message_says(
        self, bench: MqttBench, on_error: str
    ) -> None:
        device = await bench.connected()
        device.send(publish(f"t/?on-error={on_error}", qos=2))
        assert device.is_closed and not device.stream.written and not bench.uplink.uploads

    @pytest.mark.parametrize(("version", "answer"), [(4, b"\0\x01"), (5, b"\0\x01\x80\x14\x1f\0\x11malformed request")])
    async def test_ignored_it_is_acknowledged(self, bench: MqttBench, version: int, answer: bytes) -> None:
        device = await bench.connected(version)
        device.send(publish("e/?on-error=ignore", qos=1))
        bench.uplink.settle(Malformed("no"))
        assert await written(device) == [(0x40, answer)]
        assert not device.is_closed

    async def test_skipped_it_is_not_and_those_behind_it_are(self, bench: MqttBench) -> None:
        device = await bench.connected()
        device.send(publish("e/?on-error=skip-ack", qos=1, packet_id=1), publish("e", qos=1, packet_id=2))
        bench.uplink.settle(NorthboundUnavailable("full"))
        bench.uplink.settle()
        assert await written(device) == [(0x40, b"\0\x02")]

    async def test_an_unavailable_engine_closes_the_connection(self, bench: MqttBench) -> None:
        device = await bench.connected(5)
        device.send(publish("e", qos=1, packet_id=1), publish("event", qos=1, packet_id=2))
        bench.uplink.settle(index=1)
        bench.uplink.settle(NorthboundUnavailable("full"))
        ((first, body),) = device.take()
        assert (first, body[0]) == (0xE0, 0x89)
        assert device.is_closed

    async def test_what_was_acknowledged_in_the_same_turn_is_said_before_the_goodbye(self, bench: MqttBench) -> None:
        device = await bench.connected(5)
        device.send(publish("e", qos=1, packet_id=1), publish("event", qos=1, packet_id=2))
        bench.uplink.settle()
        bench.uplink.settle(Unavailable("x"))
        assert [first for first, _ in device.take()] == [0x40, 0xE0]

    async def test_a_terminal_error_closes_whatever_the_message_says(self, bench: MqttBench) -> None:
        device = await bench.connected(5)
        bench.uplink.is_prompt, bench.uplink.answer = True, AdapterDisabled("off")
        device.send(publish("t/?on-error=ignore", qos=1))
        ((first, body),) = device.take()
        assert (first, body[0]) == (0xE0, 0x87)

    async def test_another_devices_absence_does_not(self, bench: MqttBench) -> None:
        device = await bench.connected(4)
        bench.uplink.is_prompt, bench.uplink.answer = True, DeviceUnknown("no such device")
        device.send(publish("t//other/?on-error=ignore", qos=1))
        assert device.take() == [(0x40, b"\0\x01")]


class TestTheEnd:
    @pytest.mark.parametrize(("version", "goodbye"), [(4, []), (5, [0xE0])])
    async def test_a_newer_connection_of_the_same_client_takes_over(
        self, bench: MqttBench, version: int, goodbye: list[int]
    ) -> None:
        older = await bench.connected(version, client_id="me")
        newer = await bench.connected(version, client_id="me")
        said = older.take()
        assert [first for first, _ in said] == goodbye
        assert all(body[0] == 0x8E for _, body in said)
        assert older.is_closed and not newer.is_closed
        assert len(bench.sessions) == 1
        third = await bench.connected(version, client_id="me")
        assert newer.is_closed and not third.is_closed

    async def test_another_client_or_another_device_does_not(self, bench: MqttBench) -> None:
        first, second = await bench.connected(client_id="a"), await bench.connected(client_id="b")
        bench.admission.verdict = replace(PUMP, device_id=DeviceId("pump-2"))
        third = await bench.connected(client_id="a")
        assert not (first.is_closed or second.is_closed or third.is_closed)

    async def test_take_over_can_be_switched_off(self) -> None:
        async with mqtt_bench(MqttSettings(take_over=False)) as bench:
            older, newer = await bench.connected(client_id="me"), await bench.connected(client_id="me")
            assert not older.is_closed and not newer.is_closed
            assert len(bench.sessions) == 2

    async def test_a_device_that_was_disabled_is_told_and_closed(self, bench: MqttBench) -> None:
        device = await bench.connected(5)
        bench.feed.tell(
            Change(kind=ChangeKind.DEVICE, tenant_id=PUMP.tenant_id, device_id=PUMP.device_id, enabled=False)
        )
        ((first, body),) = device.take()
        assert (first, body[0]) == (0xE0, 0x98)
        assert device.is_closed

    async def test_ending_a_session_twice_or_late_does_nothing(self, bench: MqttBench) -> None:
        device = await bench.connected(5)
        (session,) = bench.sessions.of_device(PUMP.tenant_id, PUMP.device_id)
        session.end(DeviceUnknown("gone"))
        session.end(DeviceUnknown("gone"))
        await asyncio.sleep(0)
        session.end(DeviceUnknown("gone"))
        assert len(device.take()) == 1

    async def test_goodbye(self, bench: MqttBench) -> None:
        device = await bench.connected()
        bench.clock.advance(2.5)
        device.send(p.Disconnect())
        assert device.is_closed and not device.stream.written
        assert len(bench.sessions) == 0
        assert bench.metric("hono_connections_authenticated", tenant="acme") == 0
        assert bench.metric("hono_connections_authenticated_duration_seconds", tenant="acme") == 2.5

    async def test_bytes_after_the_end_are_dropped(self, bench: MqttBench) -> None:
        device = await bench.connected()
        device.send(p.Disconnect(), publish())
        device.send(publish())
        assert not bench.uplink.uploads

    async def test_malformed_bytes_end_the_connection(self, bench: MqttBench) -> None:
        device = await bench.connected(5)
        device.send_bytes(b"\xc1\x00")
        ((first, body),) = device.take()
        assert (first, body[0]) == (0xE0, 0x81)
        assert device.is_closed

    async def test_bytes_that_are_no_mqtt_are_closed_without_a_word(self, bench: MqttBench) -> None:
        device = bench.device()
        device.send_bytes(b"GET / HTTP/1.1\r\n\r\n")
        assert device.is_closed and not device.stream.written
        assert not bench.admission.asked

    async def test_an_unsupported_version_is_told(self, bench: MqttBench) -> None:
        device = bench.device()
        device.send_bytes(bytes.fromhex("100c00044d5154540302003c0000"))
        assert device.take() == [(0x20, b"\0\x01")]
        assert device.is_closed

    async def test_a_gauge_counts_the_living(self, bench: MqttBench) -> None:
        first = await bench.connected(client_id="a")
        await bench.connected(client_id="b")
        assert bench.metric("hono_connections_authenticated", tenant="acme") == 2
        first.handler.ended()
        first.stream.close()
        assert bench.metric("hono_connections_authenticated", tenant="acme") == 1

    async def test_nothing_a_device_says_in_payload_or_password_is_logged(
        self, bench: MqttBench, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        device = await bench.connected(4, user_name="u", password=b"hush-1")
        device.send(publish("foo", b"hush-2"))
        assert device.is_closed
        assert "hush" not in str([record.__dict__ for record in caplog.records])


def test_errors_have_codes_of_their_own() -> None:
    def below(kind: type[TuhonoError]) -> list[type[TuhonoError]]:
        return [kind, *[found for child in kind.__subclasses__() for found in below(child)]]

    kinds = [kind for kind in below(TuhonoError) if kind.__module__.startswith("adapters.mqtt")]
    assert len({kind.code for kind in kinds}) == len(kinds) > 10
