"""One connection over a stream in memory: who is admitted, what is answered, in which order, and when it ends."""

import asyncio
import json
import logging

import pytest

from adapters.admission.admission import Admitted
from adapters.http.shell import HELD_MAX_BYTES, LINGER_MAX_BYTES
from adapters.http.wire.answers import CONTINUE
from conf.http import HttpSettings
from kernel.errors import Unavailable
from messaging.errors import NorthboundUnavailable
from messaging.message import MessageKind
from registry.errors import DeviceDisabled, NotAuthenticated
from tenant.errors import TenantDisabled
from tenant.ports import Change, ChangeKind
from tests.support.http import DEVICE, Device, Gateway, post

pytestmark = pytest.mark.interpreted  # its uplink is a fake that inherits from ours


def error_of(device: Device, at: int = -1) -> str:
    said = json.loads(device.answers[at].body)
    assert set(said) == {"error"} and isinstance(said["error"], str)
    return str(said["error"])


async def test_the_first_upload_admits_the_device_and_is_accepted() -> None:
    async with Gateway() as gateway:
        device = gateway.connect()
        assert gateway.admission.evidence == []
        device.send(post("/event?a=b", b"22.5"))
        assert await device.statuses_once_there_are(1) == [202]
        [answer] = device.answers
        assert answer.headers["content-length"] == "0" and answer.keep_alive
        [evidence] = gateway.admission.evidence
        assert (evidence.adapter, evidence.peer) == ("hono-http", device.peer)
        [(session, upload, payload)] = gateway.uplink.uploads
        assert (session.adapter, session.tenant_id, session.device_id) == ("hono-http", "acme", "sensor-1")
        assert (session.anchor_id, session.auth_id, session.remote) == ("anchor-1", "CN=sensor-1", "192.0.2.1:50000")
        assert (upload.kind, upload.qos, payload) == (MessageKind.EVENT, 1, b"22.5")
        assert (upload.content_type, upload.orig_address) == ("text/plain", "/event?a=b")
        assert gateway.sessions.of_device(DEVICE.tenant_id, DEVICE.device_id) == (session,)


async def test_a_request_without_a_body_has_no_payload() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        device.send(post(body=b""))
        assert [upload.payload for upload in gateway.uplink.uploads] == [None]


async def test_a_kept_connection_is_admitted_once() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        for number in range(60):
            device.send(post(body=b"%d" % number))
        assert device.statuses == [202] * 60
        assert [upload.payload for upload in gateway.uplink.uploads] == [b"%d" % number for number in range(60)]
        assert len(gateway.admission.evidence) == 1


async def test_nothing_is_read_while_admission_is_under_way_and_all_of_it_afterwards() -> None:
    async with Gateway() as gateway:
        gateway.admission.may_go.clear()
        device = gateway.connect()
        device.send(post(body=b"1") + post(body=b"2"))
        assert device.is_paused
        device.send(post(body=b"3"))
        gateway.pass_time(29)
        assert not device.is_closed
        gateway.admission.may_go.set()
        assert await device.statuses_once_there_are(3) == [202, 202, 202]
        assert not device.is_paused
        assert [upload.payload for upload in gateway.uplink.uploads] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("verdict", [DEVICE, NotAuthenticated("x")])
async def test_a_device_lost_during_admission_is_not_in_the_table(verdict: Admitted | Exception) -> None:
    async with Gateway() as gateway:
        gateway.admission.verdict = verdict
        gateway.admission.may_go.clear()
        device = gateway.connect()
        device.send(post())
        device.hang_up()
        gateway.admission.may_go.set()
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(gateway.sessions) == 0
        assert device.writes == [] and gateway.uplink.uploads == []


@pytest.mark.parametrize(
    ("refusal", "status"), [(NotAuthenticated("x"), 401), (TenantDisabled("x"), 403), (DeviceDisabled("x"), 404)]
)
async def test_a_refused_device_is_told_once_and_disconnected(refusal: Exception, status: int) -> None:
    async with Gateway() as gateway:
        gateway.admission.verdict = refusal
        device = gateway.connect()
        device.send(post())
        assert await device.statuses_once_there_are(1) == [status]
        assert device.answers[0].headers["connection"] == "close"
        assert ("www-authenticate" in device.answers[0].headers) == (status == 401)
        assert device.is_closed
        assert gateway.uplink.uploads == [] and len(gateway.sessions) == 0


async def test_a_refusal_does_not_wait_for_the_body() -> None:
    async with Gateway() as gateway:
        gateway.admission.verdict = NotAuthenticated("x")
        device = gateway.connect()
        request = post(body=b"x" * 1000)
        device.send(request[:-600])
        assert await device.statuses_once_there_are(1) == [401]
        assert not device.is_closed
        device.send(request[-600:])
        device.send(post())
        assert device.statuses == [401]
        gateway.pass_time(2)
        assert device.is_closed


async def test_who_may_not_upload_learns_nothing_about_the_size_of_a_body() -> None:
    async with Gateway() as gateway:
        gateway.admission.verdict = NotAuthenticated("x")
        device = gateway.connect()
        device.send(post(body=b"x" * 4096))
        assert await device.statuses_once_there_are(1) == [401]


async def test_where_admission_leans_on_something_that_is_down_the_next_upload_asks_again() -> None:
    async with Gateway() as gateway:
        gateway.admission.verdict = Unavailable("database")
        device = gateway.connect()
        device.send(post())
        assert await device.statuses_once_there_are(1) == [503]
        assert device.answers[0].headers["retry-after"] == "2"
        assert not device.is_closed and not device.is_paused
        gateway.admission.verdict = DEVICE
        device.send(post())
        assert await device.statuses_once_there_are(2) == [503, 202]


async def test_where_admission_is_down_and_the_body_is_not_read_the_connection_ends() -> None:
    async with Gateway() as gateway:
        gateway.admission.verdict = Unavailable("database")
        device = gateway.connect()
        device.send(post()[:-1])
        assert await device.statuses_once_there_are(1) == [503]
        assert device.answers[0].headers["connection"] == "close"


async def test_an_admission_that_does_not_answer_is_answered_for() -> None:
    async with Gateway(HttpSettings(admission_deadline_s=7)) as gateway:
        gateway.admission.may_go.clear()
        device, partial = gateway.connect(), gateway.connect()
        device.send(post())
        partial.send(post()[:-1])
        gateway.pass_time(6)
        assert device.writes == partial.writes == []
        gateway.pass_time(1)
        for late in (device, partial):
            assert (late.statuses, late.answers[0].headers["connection"]) == ([503], "close")
        gateway.admission.may_go.set()
        gateway.pass_time(2)
        await device.until_lost()
        await partial.until_lost()
        assert device.statuses == [503] and gateway.uplink.uploads == [] and len(gateway.sessions) == 0


async def test_too_many_at_one_time_are_told_to_come_again() -> None:
    async with Gateway(HttpSettings(admissions_max=1)) as gateway:
        gateway.admission.may_go.clear()
        first, second = gateway.connect(), gateway.connect()
        first.send(post())
        second.send(post())
        assert await second.statuses_once_there_are(1) == [503]
        assert second.answers[0].headers["retry-after"] == "2" and not second.is_closed
        gateway.admission.may_go.set()
        assert await first.statuses_once_there_are(1) == [202]
        second.send(post())
        assert await second.statuses_once_there_are(2) == [503, 202]


async def test_a_defect_of_admission_ends_one_connection_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    async with Gateway() as gateway:
        gateway.admission.verdict = ZeroDivisionError("defect")
        device = gateway.connect()
        device.send(post())
        assert await device.statuses_once_there_are(1) == [500]
        assert error_of(device) == "Internal server error"
        assert "admission.failed" in caplog.messages
        gateway.admission.verdict = DEVICE
        assert (await gateway.admitted_device()).is_closed is False


async def test_an_adapter_that_is_not_running_admits_nobody() -> None:
    gateway = Gateway()
    device = gateway.connect()
    device.send(post())
    assert await device.statuses_once_there_are(1) == [503]


async def test_an_anonymous_device_names_tenant_and_device() -> None:
    async with Gateway() as gateway:
        gateway.admission.verdict = None
        device = gateway.connect()
        device.send(post("/telemetry/acme/sensor-9", method="PUT"))
        assert await device.statuses_once_there_are(1) == [202]
        [(session, upload, _)] = gateway.uplink.uploads
        assert session.is_anonymous and (upload.tenant, upload.device) == ("acme", "sensor-9")
        device.send(post("/telemetry"))
        assert (device.statuses[-1], error_of(device)) == (404, "request URI must contain device ID")
        device.send(post("/event//sensor-9"))
        assert (device.statuses[-1], error_of(device)) == (404, "request URI must contain tenant ID")
        assert len(gateway.uplink.uploads) == 1


async def test_an_unknown_path_needs_no_admission() -> None:
    async with Gateway() as gateway:
        device = gateway.connect()
        device.send(post("/nowhere") + b"HEAD /telemetry HTTP/1.1\r\nHost: h\r\n\r\n")
        assert len(device.writes) == 1
        [first, second] = device.writes[0].split(b"HTTP/1.1 404 Not Found\r\n")[1:]
        assert b"Content-Type: text/html; charset=utf-8\r\n" in first
        assert first.endswith(b"<html><body><h1>Resource not found</h1></body></html>")
        assert b"Content-Length: 53\r\n" in second and second.endswith(b"\r\n\r\n")
        assert gateway.admission.evidence == [] and not device.is_closed


async def test_a_path_that_cannot_be_decoded_is_refused_and_the_connection_stays() -> None:
    async with Gateway() as gateway:
        device = gateway.connect()
        device.send(post("/telemetry/%zz/x"))
        assert (device.statuses, error_of(device)) == ([400], "malformed request URI")
        device.send(post())
        assert await device.statuses_once_there_are(2) == [400, 202]


async def test_a_wrong_level_is_told_to_who_was_admitted_and_nothing_is_uploaded() -> None:
    async with Gateway() as gateway:
        device = gateway.connect()
        device.send(post("/event", b"x", "QoS-Level: 0"))
        assert await device.statuses_once_there_are(1) == [400]
        assert error_of(device) == "unsupported QoS-Level header value"
        assert gateway.uplink.uploads == [] and not device.is_closed


async def test_a_preflight_needs_no_admission_and_leaves_the_connection() -> None:
    async with Gateway() as gateway:
        device = gateway.connect()
        device.send(
            b"OPTIONS /telemetry/t/d HTTP/1.1\r\nHost: h\r\nOrigin: https://a.example\r\nAuthorization: Basic eDp5\r\n"
            b"Access-Control-Request-Method: PUT\r\n\r\n"
        )
        assert device.statuses == [204]
        headers = device.answers[0].headers
        assert headers["access-control-allow-origin"] == "*"
        assert headers["access-control-allow-headers"] == "QoS-Level, hono-ttd, authorization, content-type"
        assert gateway.admission.evidence == []


async def test_every_answer_to_a_browser_may_be_read_by_its_page() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        for target in ("/telemetry", "/telemetry/acme", "/nowhere"):
            device.send(post(target, b"x", "Origin: https://a.example"))
        assert device.statuses == [202, 404, 404]
        for answer in device.answers:
            assert answer.headers["access-control-allow-origin"] == "*"
            assert answer.headers["access-control-expose-headers"] == "hono-command, hono-cmd-req-id"
        device.send(post())
        assert "access-control-allow-origin" not in device.answers[-1].headers


async def test_an_answer_waits_until_the_message_is_kept() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.holds = True
        device.send(post("/event"))
        gateway.pass_time(600)
        assert device.writes == [] and not device.is_closed
        gateway.uplink.settle()
        assert device.statuses == [202]


async def test_a_message_that_could_not_be_kept_may_be_sent_again() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.outcome = NorthboundUnavailable("backlog is full")
        device.send(post("/event"))
        assert (device.statuses, error_of(device)) == ([503], "temporarily unavailable")
        assert device.answers[0].headers["retry-after"] == "2"
        gateway.uplink.outcome = None
        device.send(post("/event"))
        assert device.statuses == [503, 202]


async def test_a_defect_of_an_upload_is_logged_and_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.defect = ZeroDivisionError("defect")
        with caplog.at_level(logging.ERROR):
            device.send(post(body=b"confidential") + post())
        assert (device.statuses, error_of(device)) == ([500], "Internal server error")
        assert device.answers[0].headers["connection"] == "close"
        assert "http.upload-failed" in caplog.messages
        assert "confidential" not in caplog.text


async def test_answers_leave_in_the_order_of_the_requests_and_in_one_write() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.holds = True
        device.send(post("/event") + post("/nowhere") + post("/telemetry") + post("/event", b"", "QoS-Level: 7"))
        assert device.writes == []
        gateway.uplink.settle()
        assert len(device.writes) == 1
        assert device.statuses == [202, 404, 202, 400]


async def test_answers_ready_before_the_last_one_do_not_wait_for_it() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.holds = True
        device.send(post() * 5)
        gateway.uplink.settle(3)
        assert device.writes == []
        assert await device.statuses_once_there_are(3) == [202, 202, 202]
        assert len(device.writes) == 1
        gateway.uplink.settle()
        assert device.statuses == [202] * 5


async def test_no_more_requests_are_taken_ahead_of_their_answers_than_the_limit() -> None:
    async with Gateway(HttpSettings(pipelined_max=4)) as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.holds = True
        device.send(post() * 10 + post()[:-2])
        assert len(gateway.uplink.uploads) == 4 and device.is_paused
        device.send(post()[-2:])
        gateway.uplink.settle(1)
        await device.statuses_once_there_are(1)
        assert len(gateway.uplink.uploads) == 5 and device.is_paused
        gateway.uplink.holds = False
        gateway.uplink.settle()
        await device.statuses_once_there_are(11)
        assert device.statuses == [202] * 11
        assert not device.is_paused


async def test_time_in_which_nobody_read_does_not_make_a_request_late() -> None:
    async with Gateway(HttpSettings(pipelined_max=1)) as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.holds = True
        device.send(post() + post()[:-2])
        assert device.is_paused
        gateway.pass_time(60)
        gateway.uplink.settle()
        gateway.pass_time(9)
        device.send(post()[-2:])
        gateway.uplink.settle()
        assert device.statuses == [202, 202]


async def test_a_stream_that_is_paused_and_goes_on_is_cut_off() -> None:
    async with Gateway(HttpSettings(pipelined_max=1)) as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.holds = True
        device.send(post() * 2)
        device.send(b"x" * HELD_MAX_BYTES)
        assert device.is_aborted


async def test_connection_close_is_kept_to() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        device.send(post("/telemetry", b"x", "Connection: close"))
        assert device.statuses == [202]
        assert device.answers[0].headers["connection"] == "close" and device.is_closed
        device.send(post())
        assert len(gateway.uplink.uploads) == 1


async def test_http_1_0_closes_unless_asked_to_stay() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        device.send(post("/telemetry", b"x", "Connection: keep-alive", version="1.0"))
        assert device.answers[0].headers["connection"] == "keep-alive" and not device.is_closed
        device.send(post("/telemetry", b"x", version="1.0"))
        assert device.answers[1].headers["connection"] == "close" and device.is_closed


async def test_a_device_that_asks_is_told_to_go_on_once_it_is_admitted() -> None:
    async with Gateway() as gateway:
        gateway.admission.may_go.clear()
        device = gateway.connect()
        request = post("/event", b"22.5", "Expect: 100-continue")
        device.send(request[:-4])
        assert device.writes == []
        gateway.admission.may_go.set()
        await device.until_written()
        assert device.writes == [CONTINUE]
        device.send(b"22")
        device.send(b".5")
        assert device.writes[0] == CONTINUE and len(device.writes) == 2
        assert device.writes[1].startswith(b"HTTP/1.1 202 ")


async def test_a_device_that_asks_for_too_much_is_told_not_to_go_on() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        device.send(
            b"POST /event HTTP/1.1\r\nHost: h\r\nContent-Type: a/b\r\nContent-Length: 4096\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert device.statuses == [413]


async def test_going_on_is_said_behind_the_answers_that_come_first() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.holds = True
        device.send(post() + post("/event", b"22.5", "Expect: 100-continue")[:-4])
        assert device.writes == []
        gateway.uplink.settle()
        assert [data[:12] for data in device.writes] == [b"HTTP/1.1 202", b"HTTP/1.1 100"]


async def test_a_body_too_large_is_refused_as_soon_as_it_is_announced() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        device.send(post(body=b"x" * 2048))
        device.send(post(body=b"x" * 2049)[:-2049])
        assert device.statuses == [202, 413]
        assert device.answers[1].headers["connection"] == "close"
        assert not device.is_closed
        device.send(b"x" * 2049)
        gateway.pass_time(2)
        assert device.is_closed and device.statuses == [202, 413]
        await device.until_lost()


async def test_a_refused_sender_that_never_stops_is_cut_off_by_size() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        device.send(post(body=b"x" * 4096))
        assert device.statuses == [413] and not device.is_closed
        device.send(b"x" * (LINGER_MAX_BYTES + 1))
        assert device.is_closed
        device.send(b"x")


async def test_what_arrives_behind_a_final_request_is_dropped_up_to_a_bound() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.holds = True
        device.send(post("/event", b"x", "Connection: close"))
        device.send(b"x" * LINGER_MAX_BYTES)
        assert not device.is_paused
        device.send(b"x")
        assert device.is_paused
        device.send(b"x")
        gateway.uplink.settle()
        assert device.statuses == [202] and device.is_closed


async def test_a_malformed_request_is_answered_behind_those_before_it_and_ends_the_connection() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.holds = True
        device.send(post() + b"POST /telemetry HTTP/1.1\nHost: h\n\n" + post())
        assert device.writes == []
        gateway.uplink.settle()
        assert device.statuses == [202, 400]
        assert device.answers[1].headers["connection"] == "close"
        assert len(gateway.uplink.uploads) == 1


async def test_a_device_that_was_disabled_is_disconnected_behind_its_last_answer() -> None:
    async with Gateway() as gateway:
        idle, busy = await gateway.admitted_device(), await gateway.admitted_device()
        gateway.uplink.holds = True
        busy.send(post())
        gateway.feed.tell(
            Change(kind=ChangeKind.DEVICE, tenant_id=DEVICE.tenant_id, device_id=DEVICE.device_id, enabled=False)
        )
        assert idle.is_closed and idle.writes == []
        assert not busy.is_closed
        busy.send(post())
        gateway.uplink.uploads[0].session.end(DeviceDisabled("again"))
        gateway.uplink.settle()
        assert busy.statuses == [202] and busy.answers[0].headers["connection"] == "close"
        assert busy.is_closed and len(gateway.uplink.uploads) == 1
        assert len(gateway.sessions) == 0


async def test_a_device_whose_ca_was_removed_in_mid_request_is_told_and_disconnected() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        device.send(post()[:-1])
        gateway.feed.tell(
            Change(kind=ChangeKind.ANCHOR_REMOVED, tenant_id=DEVICE.tenant_id, anchor_id=DEVICE.anchor_id)
        )
        assert (device.statuses, error_of(device)) == ([400], "trust anchor was removed")
        assert device.answers[0].headers["connection"] == "close"
        gateway.feed.tell(Change(kind=ChangeKind.RESET))
        assert device.statuses == [400]


async def test_a_lost_connection_leaves_the_table_and_its_answers_go_nowhere() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.holds = True
        device.send(post() * 3)
        gateway.uplink.settle(1)
        device.hang_up()
        assert len(gateway.sessions) == 0
        gateway.uplink.settle()
        await asyncio.sleep(0)
        assert device.writes == []
        gateway.pass_time(600)


async def test_a_silent_connection_is_closed_when_it_has_been_idle_long_enough() -> None:
    async with Gateway() as gateway:
        silent, active = gateway.connect(), await gateway.admitted_device()
        gateway.pass_time(74)
        active.send(post())
        assert not silent.is_closed
        gateway.pass_time(1)
        assert silent.is_closed and silent.writes == []
        gateway.pass_time(73)
        assert not active.is_closed
        gateway.pass_time(1)
        assert active.is_closed


async def test_a_slow_sender_is_told_and_closed_however_often_it_sends_a_byte() -> None:
    async with Gateway() as gateway:
        device = gateway.connect()
        for byte in post()[:9]:
            device.send(bytes([byte]))
            gateway.pass_time(1)
        assert device.writes == []
        device.send(b"e")
        gateway.pass_time(1)
        assert (device.statuses, error_of(device)) == ([408], "request timeout")
        device.send(b"x")
        gateway.pass_time(2)
        assert device.is_closed and device.statuses == [408]


async def test_a_slow_body_is_as_late_as_a_slow_head() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        device.send(post()[:-1])
        gateway.pass_time(10)
        assert device.statuses == [408]


async def test_a_slow_request_behind_an_open_one_is_answered_in_its_turn() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.holds = True
        device.send(post() + post()[:-1])
        gateway.pass_time(10)
        assert device.writes == []
        gateway.uplink.settle()
        assert device.statuses == [202, 408]


async def test_a_device_that_ends_its_side_is_let_go() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        device.finish()
        assert len(gateway.sessions) == 0


async def test_a_defect_behind_admission_cuts_one_connection_off(caplog: pytest.LogCaptureFixture) -> None:
    async with Gateway() as gateway:
        device = gateway.connect()
        gateway.sessions.add = failing  # type: ignore[assignment]
        device.send(post())
        await device.until_lost()
        assert device.is_aborted and "http.admission-failed" in caplog.messages


async def test_a_defect_in_reading_is_told_without_a_word_about_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.http.requests.plan_of", failing)
    async with Gateway() as gateway:
        device = gateway.connect()
        device.send(post())
        assert (device.statuses, error_of(device)) == ([500], "Internal server error")
        assert device.is_closed is False
        gateway.pass_time(2)
        assert device.is_closed and "http.request-failed" in caplog.messages


async def test_an_uplink_that_fails_after_its_word_changes_nothing_about_the_answer() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.defect = ZeroDivisionError("defect")
        gateway.uplink.fails_late = True
        device.send(post())
        assert device.statuses == [202] and device.is_closed


async def test_an_uplink_that_speaks_after_it_failed_is_not_heard() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.holds = gateway.uplink.fails_late = True
        gateway.uplink.defect = ZeroDivisionError("defect")
        device.send(post())
        gateway.uplink.settle()
        assert device.statuses == [500] and device.is_closed


async def test_a_session_ended_by_its_own_upload_ends_behind_the_answer() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.ends_session = DeviceDisabled("x")
        device.send(post() + post())
        gateway.pass_time(2)
        assert device.statuses == [202] and device.is_closed


def failing(*_: object) -> None:
    raise ZeroDivisionError("defect")
