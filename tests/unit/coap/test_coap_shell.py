"""The adapter between an edge in memory and an uplink in memory."""

import asyncio
from pathlib import Path

import pytest

from adapters.coap.wire.numbers import ACK, CON, GET, NON
from conf.coap import CoapSettings
from kernel.errors import TuhonoError
from messaging.errors import NorthboundUnavailable
from registry.errors import CredentialUnknown, DeviceDisabled, StorageUnavailable
from tenant.errors import TenantDisabled
from tenant.ports import Change, ChangeKind
from tests.support.coap import DEVICE, MemoryAssociation, Stage, Verdict, ack, request, settled
from tests.support.waiting import until

VECTORS = Path(__file__).parents[2] / "vectors" / "coap" / "libcoap-requests.txt"
POST_T = request("/t", message_id=1, token=b"tk", payload=b"21.5")


def codes(association: MemoryAssociation) -> list[str]:
    return [answer.spelled for answer in association.take()]


async def test_an_upload_of_an_admitted_device_is_submitted_and_answered() -> None:
    async with Stage().running() as stage:
        association = await stage.connected()
        association.says(POST_T)
        (answer,) = association.take()
        assert (answer.type, answer.spelled, answer.message_id, answer.token) == (ACK, "2.04", 1, b"tk")
        ((session, head, payload),) = stage.uplink.uploads
        assert (session.tenant_id, session.device_id, session.anchor_id) == ("acme", "pump-1", "anchor-1")
        assert (session.adapter, session.auth_id, session.remote) == ("hono-coap", "CN=pump-1", "192.0.2.7:40000")
        assert (payload, head.qos) == (b"21.5", 1)
        assert stage.counted("tuhono_coap_answers", code="2.04") == 1


async def test_a_peer_is_admitted_once_when_it_connects() -> None:
    async with Stage().running() as stage:
        association = await stage.connected()
        (evidence,) = stage.admission.asked
        assert (evidence.adapter, evidence.peer) == ("hono-coap", association.peer)
        for message_id in range(3):
            association.says(request("/t", message_id=message_id))
        assert len(stage.admission.asked) == 1
        assert len(stage.sessions) == 1


async def test_requests_wait_for_the_decision_and_are_then_submitted_in_order() -> None:
    async with Stage().running() as stage:
        stage.admission.gate.clear()
        association = stage.connect()
        for message_id in (1, 2, 3):
            association.says(request("/t", message_id=message_id, payload=bytes([message_id])))
        await settled()
        assert association.take() == []
        stage.admission.gate.set()
        await settled()
        assert [upload.payload for upload in stage.uplink.uploads] == [b"\x01", b"\x02", b"\x03"]
        assert codes(association) == ["2.04"] * 3
        assert len(stage.admission.asked) == 1


async def test_no_more_requests_wait_than_may() -> None:
    async with Stage(settings=CoapSettings(waiting_per_peer_max=2)).running() as stage:
        stage.admission.gate.clear()
        association = stage.connect()
        for message_id in (1, 2, 3):
            association.says(request("/t", message_id=message_id))
        assert codes(association) == ["5.03"]


async def test_nothing_is_acknowledged_before_it_is_kept() -> None:
    async with Stage(holds=True).running() as stage:
        association = await stage.connected()
        association.says(POST_T)
        await settled()
        assert association.take() == []
        stage.uplink.release()
        assert codes(association) == ["2.04"]


async def test_an_upload_that_was_not_kept_is_unavailable_and_may_come_again() -> None:
    async with Stage().running() as stage:
        association = await stage.connected()
        stage.uplink.outcome = NorthboundUnavailable("backlog is full")
        association.says(POST_T)
        (answer,) = association.take()
        assert (answer.spelled, answer.payload, answer.option(14)) == ("5.03", b"Temporarily unavailable", b"\x02")


async def test_a_repeated_request_is_submitted_once() -> None:
    async with Stage(holds=True).running() as stage:
        association = await stage.connected()
        association.says(POST_T)
        association.says(POST_T)
        stage.uplink.release()
        association.says(POST_T)
        assert len(stage.uplink.uploads) == 1
        assert codes(association) == ["2.04", "2.04"]
        assert stage.counted("tuhono_coap_repetitions") == 2


async def test_a_slow_answer_is_acknowledged_ahead_and_sent_until_acknowledged() -> None:
    async with Stage(holds=True).running() as stage:
        association = await stage.connected()
        association.says(POST_T)
        stage.clock.advance(0.5)
        stage.adapter.sweep()
        (early,) = association.take()
        assert (early.type, early.spelled, early.message_id) == (ACK, "0.00", 1)
        stage.uplink.release()
        (answer,) = association.take()
        assert (answer.type, answer.spelled, answer.token) == (CON, "2.04", b"tk")
        stage.clock.advance(2.0)
        stage.adapter.sweep()
        assert len(association.take()) == 1
        association.says(ack(answer.message_id))
        stage.clock.advance(60.0)
        stage.adapter.sweep()
        assert association.take() == []


@pytest.mark.parametrize("holds", [False, True])
async def test_hono_adapters_204_without_an_ack_delay_the_acknowledgement_goes_ahead_and_the_answer_on_its_own(
    holds: bool,
) -> None:
    async with Stage(settings=CoapSettings(ack_delay_s=0), holds=holds).running() as stage:
        association = await stage.connected()
        for message_id in (1, 2):
            association.says(request("/t", message_id=message_id, token=b"tk", payload=b"21.5"))
            stage.uplink.release()
            ahead, answer = association.take()
            assert (ahead.type, ahead.spelled, ahead.message_id) == (ACK, "0.00", message_id)
            assert (answer.type, answer.spelled, answer.token) == (CON, "2.04", b"tk")


async def test_the_adapters_own_timer_does_the_sweeping() -> None:
    async with Stage(settings=CoapSettings(ack_delay_s=0.01), holds=True).running() as stage:
        association = await stage.connected()
        association.says(POST_T)
        stage.clock.advance(0.05)
        async with asyncio.timeout(10):
            await association.heard.wait()
        assert codes(association) == ["0.00"]


async def test_what_is_remembered_is_forgotten_in_time_though_nothing_more_arrives() -> None:
    async with Stage(settings=CoapSettings(ack_delay_s=0.01), holds=True).running() as stage:
        remembered = stage.meters.gauge("tuhono_coap_exchanges", "")
        association = await stage.connected()
        association.says(request("/t", type_=NON, payload=b"1"))
        stage.uplink.release()
        await until(lambda: remembered.total == 1)
        stage.clock.advance(247.0)
        await until(lambda: remembered.total == 0)


async def test_non_confirmable_telemetry_is_answered_non_confirmably() -> None:
    async with Stage().running() as stage:
        association = await stage.connected()
        association.says(request("/t", type_=NON, message_id=9, token=b"n", payload=b"1"))
        (answer,) = association.take()
        assert (answer.type, answer.spelled, answer.token) == (NON, "2.04", b"n")
        assert stage.uplink.uploads[0].head.qos == 0


async def test_unknown_resources_and_methods_are_answered_without_looking_further() -> None:
    async with Stage().running() as stage:
        stage.admission.gate.clear()
        association = stage.connect()
        association.says(request("/.well-known/core", code=GET, message_id=1))
        association.says(request("/t", code=GET, message_id=2))
        assert codes(association) == ["4.04", "4.05"]


async def test_a_refused_upload_is_answered_with_its_reason() -> None:
    async with Stage().running() as stage:
        association = await stage.connected()
        association.says(request("/e", type_=NON, payload=b"x"))
        (answer,) = association.take()
        assert (answer.spelled, answer.payload) == (
            "4.00",
            b"event endpoint supports confirmable request messages only",
        )
        assert stage.uplink.uploads == []


async def test_a_defect_is_answered_as_internal_and_the_peer_stays(caplog: pytest.LogCaptureFixture) -> None:
    async with Stage().running() as stage:
        association = await stage.connected()
        stage.uplink.defect = ZeroDivisionError("secret detail")
        association.says(POST_T)
        (answer,) = association.take()
        assert (answer.spelled, answer.payload) == ("5.00", b"Internal server error")
        assert not association.is_closed
        assert "coap.request-failed" in caplog.text


@pytest.mark.parametrize(("refusal", "code"), [(TenantDisabled("acme"), "4.03"), (DeviceDisabled("pump-1"), "4.04")])
async def test_a_refusal_after_the_handshake_is_told_to_each_request(refusal: TuhonoError, code: str) -> None:
    async with Stage(refusal).running() as stage:
        association = await stage.connected()
        for message_id in (1, 2):
            association.says(request("/t", message_id=message_id))
        (first, second) = association.take()
        assert (first.spelled, second.spelled) == (code, code)
        assert first.payload == refusal.told.encode()
        assert not association.is_closed
        assert len(stage.admission.asked) == 1
        assert len(stage.sessions) == 0


async def test_a_refusal_is_looked_into_again_after_its_lifetime() -> None:
    async with Stage(TenantDisabled("acme"), DEVICE).running() as stage:
        association = await stage.connected()
        stage.clock.advance(9.9)
        association.says(request("/t", message_id=1))
        assert codes(association) == ["4.03"]
        stage.clock.advance(0.1)
        association.says(request("/t", message_id=2))
        await settled()
        assert codes(association) == ["2.04"]


async def test_a_registry_that_did_not_answer_is_asked_again_soon() -> None:
    async with Stage(StorageUnavailable("locked"), DEVICE).running() as stage:
        association = await stage.connected()
        association.says(request("/t", message_id=1))
        assert codes(association) == ["5.03"]
        stage.clock.advance(2.0)
        association.says(request("/t", message_id=2))
        await settled()
        assert codes(association) == ["2.04"]


async def test_who_cannot_prove_itself_reads_unauthorized_and_is_dropped() -> None:
    async with Stage(CredentialUnknown("CN=pump-1")).running() as stage:
        association = await stage.connected()
        assert not association.is_closed
        association.says(POST_T)
        assert codes(association) == ["4.01"]
        assert association.is_closed


async def test_a_request_that_waited_for_a_refusal_gets_it() -> None:
    async with Stage(CredentialUnknown("CN=pump-1")).running() as stage:
        stage.admission.gate.clear()
        association = stage.connect()
        association.says(POST_T)
        stage.admission.gate.set()
        await settled()
        assert codes(association) == ["4.01"]
        assert association.is_closed


async def test_a_defect_in_admission_is_internal_and_spares_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async with Stage(ZeroDivisionError(), DEVICE).running() as stage:
        first = await stage.connected(port=1)
        second = await stage.connected(port=2)
        for association in (first, second):
            association.says(POST_T)
        assert (codes(first), codes(second)) == (["5.00"], ["2.04"])
        assert "admission.failed" in caplog.text


async def test_peers_that_leave_undecided_do_not_add_up() -> None:
    async with Stage(settings=CoapSettings(admissions_max=2)).running() as stage:
        stage.admission.gate.clear()
        for port in range(1, 6):
            association = stage.connect(port=port)
            await settled()
            association.vanish()
        assert len(stage.admission.asked) == 2


async def test_beyond_the_bound_of_decisions_a_peer_is_told_to_come_again_and_may() -> None:
    async with Stage(settings=CoapSettings(admissions_max=1)).running() as stage:
        stage.admission.gate.clear()
        stage.connect(port=1)
        second = stage.connect(port=2)
        second.says(request("/t", message_id=1))
        (answer,) = second.take()
        assert (answer.spelled, answer.option(14)) == ("5.03", b"\x02")
        stage.clock.advance(2.0)
        second.says(request("/t", message_id=2))
        assert codes(second) == ["5.03"]
        stage.admission.gate.set()
        await settled()
        stage.clock.advance(2.0)
        second.says(request("/t", message_id=3))
        await settled()
        assert codes(second) == ["2.04"]
        assert not second.is_closed


async def test_requests_that_waited_spare_the_others_where_they_cannot_be_answered(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: bytes) -> None:
        raise OSError("no way out")

    async with Stage(TenantDisabled("acme"), DEVICE).running() as stage:
        stage.admission.gate.clear()
        first, second = stage.connect(port=1), stage.connect(port=2)
        for association in (first, second):
            association.says(POST_T)
        monkeypatch.setattr(first, "send", broken)
        stage.admission.gate.set()
        await settled()
        assert codes(second) == ["2.04"]
        assert "coap.decision-failed" in caplog.text


async def test_requests_to_one_address_share_their_upload_head_whoever_sends_them() -> None:
    async with Stage().running() as stage:
        associations = [await stage.connected(port=port) for port in (1, 2)]
        for association in associations:
            for message_id in (1, 2):
                association.says(request("/t", message_id=message_id, payload=b"21.5"))
        first, *others = [upload.head for upload in stage.uplink.uploads]
        assert len(others) == 3 and all(other is first for other in others)


async def test_a_decision_that_takes_too_long_is_not_waited_for_but_counts_when_it_comes() -> None:
    async with Stage(settings=CoapSettings(ack_delay_s=60)).running() as stage:
        stage.admission.gate.clear()
        association = stage.connect()
        association.says(request("/t", message_id=1))
        stage.clock.advance(29.9)
        stage.adapter.sweep()
        assert codes(association) == []
        stage.clock.advance(0.1)
        stage.adapter.sweep()
        assert codes(association) == ["5.03"]
        stage.clock.advance(100.0)
        association.says(request("/t", message_id=2))
        assert codes(association) == ["5.03"]
        stage.admission.gate.set()
        await settled()
        association.says(request("/t", message_id=3))
        assert codes(association) == ["2.04"]
        assert len(stage.admission.asked) == 1


async def test_the_adapters_own_timer_watches_over_decisions_though_nobody_asks() -> None:
    settings = CoapSettings(ack_delay_s=0.01, admission_deadline_s=1)
    async with Stage(settings=settings).running() as stage:
        stage.admission.gate.clear()
        association = stage.connect()
        association.says(request("/t", type_=NON))
        stage.clock.advance(1.0)
        async with asyncio.timeout(10):
            await association.heard.wait()
        assert codes(association) == ["5.03"]


async def test_an_anonymous_peer_can_only_name_a_device() -> None:
    async with Stage(None).running() as stage:
        association = await stage.connected()
        association.says(request("/t", message_id=1, payload=b"x"))
        association.says(request("/t/acme/valve-7", code=3, message_id=2, payload=b"x"))
        (post, put) = association.take()
        assert (post.spelled, post.payload) == ("4.01", b"DTLS session does not contain authenticated Device")
        assert put.spelled == "2.04"
        assert not association.is_closed
        assert len(stage.sessions) == 0
        association.vanish()


async def test_a_peer_that_left_leaves_nothing_behind() -> None:
    async with Stage(holds=True).running() as stage:
        association = await stage.connected()
        association.says(POST_T)
        association.vanish()
        stage.uplink.release()
        stage.adapter.closed(association)
        association.says(POST_T)
        assert association.sent == []
        assert len(stage.sessions) == 0
        assert stage.meters.gauge("tuhono_coap_associations", "").total == 0


@pytest.mark.parametrize("verdict", [DEVICE, TenantDisabled("acme")])
async def test_a_peer_that_left_before_the_decision_gets_no_session(verdict: Verdict) -> None:
    async with Stage(verdict).running() as stage:
        stage.admission.gate.clear()
        association = stage.connect()
        association.says(POST_T)
        await settled()
        association.vanish()
        stage.admission.gate.set()
        await settled()
        assert len(stage.sessions) == 0
        assert stage.uplink.uploads == []


async def test_a_device_that_is_disabled_loses_its_association() -> None:
    async with Stage().running() as stage:
        association = await stage.connected()
        change = Change(kind=ChangeKind.DEVICE, tenant_id=DEVICE.tenant_id, device_id=DEVICE.device_id, enabled=False)
        stage.feed.tell(change)
        assert association.is_closed
        await settled()
        assert len(stage.sessions) == 0
        assert stage.meters.gauge("tuhono_coap_associations", "").total == 0


async def test_draining_waits_for_what_is_under_way_and_then_says_goodbye() -> None:
    async with Stage(holds=True).running() as stage:
        association = await stage.connected()
        association.says(POST_T)
        drain = asyncio.create_task(stage.adapter.drain(within_s=60))
        await settled()
        association.says(request("/t", message_id=2))
        assert codes(association) == ["5.03"]
        late = stage.connect(port=2)
        assert late.is_closed
        assert not drain.done()
        stage.uplink.release()
        await drain
        assert codes(association) == ["2.04"]
        assert association.is_closed


async def with_a_separate_answer(stage: Stage) -> tuple[MemoryAssociation, int]:
    """A peer that was sent an answer on its own, and the message id of that answer."""
    association = await stage.connected()
    association.says(POST_T)
    stage.clock.advance(0.5)
    stage.adapter.sweep()
    stage.uplink.release()
    (_, answer) = association.take()
    assert answer.type == CON
    return association, answer.message_id


async def test_draining_waits_until_a_separate_answer_is_acknowledged() -> None:
    async with Stage(holds=True).running() as stage:
        association, message_id = await with_a_separate_answer(stage)
        drain = asyncio.create_task(stage.adapter.drain(within_s=60))
        await settled()
        assert not association.is_closed
        stage.clock.advance(2.0)
        stage.adapter.sweep()
        assert codes(association) == ["2.04"]
        association.says(ack(message_id))
        await drain
        assert association.is_closed


async def test_draining_waits_no_longer_for_an_answer_that_is_given_up() -> None:
    async with Stage(holds=True).running() as stage:
        association, _ = await with_a_separate_answer(stage)
        drain = asyncio.create_task(stage.adapter.drain(within_s=60))
        await settled()
        for _ in range(5):
            assert not drain.done()
            stage.clock.advance(32.0)
            stage.adapter.sweep()
        await drain
        assert association.is_closed


async def test_draining_says_goodbye_to_the_others_though_one_cannot_hear_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise OSError("no way out")

    async with Stage().running() as stage:
        associations = [await stage.connected(port=port) for port in (1, 2, 3)]
        monkeypatch.setattr(associations[0], "close", broken)
        await stage.adapter.drain(within_s=60)
        assert [association.is_closed for association in associations] == [False, True, True]
        assert "coap.goodbye-failed" in caplog.text


async def test_draining_ends_at_its_deadline() -> None:
    async with Stage(holds=True).running() as stage:
        association = await stage.connected()
        association.says(POST_T)
        await stage.adapter.drain(within_s=0)
        assert association.is_closed


async def test_answers_of_the_message_layer_are_counted_with_the_others_and_a_ping_is_no_rejection() -> None:
    async with Stage().running() as stage:
        association = await stage.connected()
        association.says(request("/t", message_id=1, payload=b"x" * 2049))
        association.says(bytes.fromhex("4000abcd"))
        assert codes(association) == ["4.13", "0.00"]
        assert stage.counted("tuhono_coap_answers", code="4.13") == 1
        assert stage.counted("tuhono_coap_rejections") == 0


async def test_draining_an_idle_adapter_is_done_at_once() -> None:
    async with Stage().running() as stage:
        association = await stage.connected()
        await stage.adapter.drain(within_s=60)
        assert association.is_closed


async def test_without_run_peers_are_turned_away() -> None:
    stage = Stage()
    assert stage.connect().is_closed


async def test_when_run_has_ended_a_request_without_decision_is_not_taken() -> None:
    stage = Stage(TenantDisabled("acme"))
    async with stage.running():
        association = await stage.connected()
    stage.clock.advance(60.0)
    association.says(POST_T)
    assert codes(association) == ["5.03"]


def vectors() -> list[list[str]]:
    lines = VECTORS.read_text().splitlines()
    return [line.split() for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize(("name", "asked", "answer"), vectors(), ids=[vector[0] for vector in vectors()])
async def test_what_libcoap_sends_is_answered_byte_for_byte(name: str, asked: str, answer: str) -> None:
    async with Stage().running() as stage:
        association = await stage.connected()
        association.says(bytes.fromhex(asked))
        assert [sent.hex() for sent in association.sent] == [answer]
