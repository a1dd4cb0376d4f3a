"""Paths, methods and queries of hono-adapters 3.1 and 3.2."""

import pytest

from adapters.coap.errors import (
    DeviceMissing,
    DeviceNotAuthenticated,
    EventNotConfirmable,
    ForeignTenant,
    TenantMissing,
)
from adapters.coap.resources import SERVER_TIME, UploadPlan, plan_of
from adapters.coap.wire.heads import Head
from adapters.coap.wire.message import Message
from adapters.coap.wire.numbers import CON, DELETE, GET, NON, POST, PUT, spelled
from adapters.coap.wire.request import Answer, Asked
from adapters.sessions.session import Session
from adapters.sessions.uplink import UploadHead
from kernel.clock import ManualClock
from kernel.errors import TuhonoError
from kernel.ids import DeviceId, TenantId
from messaging.message import EMPTY_NOTIFICATION, MessageKind

PUMP = Session(adapter="hono-coap", tenant_id=TenantId("acme"), device_id=DeviceId("pump-1"))
ANYONE = Session(adapter="hono-coap", tenant_id=None, device_id=None)
TELEMETRY, EVENT = MessageKind.TELEMETRY, MessageKind.EVENT


def asking(
    path: str,
    *,
    method: int = POST,
    is_confirmable: bool = True,
    query: tuple[str, ...] = (),
    content_format: int | None = None,
    elective: frozenset[int] = frozenset(),
) -> Head:
    message = Message(CON if is_confirmable else NON, method, 1, b"", (), b"21.5")
    segments = tuple(path.split("/")[1:]) if path != "/" else ()
    return Head(message, Asked(segments, query, content_format, None, elective), b"")


def upload_plan(head: Head) -> UploadPlan:
    plan = plan_of(head)
    assert isinstance(plan, UploadPlan)
    return plan


def read_upload(head: Head, session: Session) -> UploadHead:
    """What is sent on where the session may."""
    plan = upload_plan(head)
    plan.require(session)
    return plan.upload


@pytest.mark.parametrize(
    ("path", "kind"), [("/telemetry", TELEMETRY), ("/t", TELEMETRY), ("/event", EVENT), ("/e", EVENT)]
)
def test_a_post_is_from_the_device_itself(path: str, kind: MessageKind) -> None:
    upload = read_upload(asking(path), PUMP)
    assert (upload.kind, upload.tenant, upload.device) == (kind, None, None)
    assert (upload.orig_address, upload.qos) == (path, 1)


def test_what_follows_the_resource_of_a_post_is_noted_only() -> None:
    upload = read_upload(asking("/t/acme//x"), PUMP)
    assert (upload.tenant, upload.device, upload.orig_address) == (None, None, "/t/acme//x")


@pytest.mark.parametrize("session", [PUMP, ANYONE])
@pytest.mark.parametrize("path", ["/telemetry/acme/valve-7", "/e/acme/valve-7", "/t/acme/valve-7/swallowed"])
def test_a_put_names_tenant_and_device(path: str, session: Session) -> None:
    upload = read_upload(asking(path, method=PUT), session)
    assert (upload.tenant, upload.device, upload.orig_address) == ("acme", "valve-7", path)


def test_a_put_may_leave_the_tenant_to_the_session() -> None:
    upload = read_upload(asking("/e//valve-7", method=PUT), PUMP)
    assert (upload.tenant, upload.device, upload.orig_address) == (None, "valve-7", "/e//valve-7")


@pytest.mark.parametrize(
    ("head", "session", "refusal", "text"),
    [
        (asking("/t"), ANYONE, DeviceNotAuthenticated, "DTLS session does not contain authenticated Device"),
        (asking("/t", method=PUT), PUMP, DeviceMissing, "request URI must contain device ID"),
        (asking("/t/acme", method=PUT), PUMP, DeviceMissing, "request URI must contain device ID"),
        (asking("/t/acme/", method=PUT), ANYONE, DeviceMissing, "request URI must contain device ID"),
        (asking("/t", method=PUT), ANYONE, TenantMissing, "request URI must contain tenant ID"),
        (asking("/t//valve-7", method=PUT), ANYONE, TenantMissing, "request URI must contain tenant ID"),
        (
            asking("/t/other/valve-7", method=PUT),
            PUMP,
            ForeignTenant,
            "tenant ID in request URI must match provided credentials",
        ),
        (
            asking("/e", is_confirmable=False),
            ANYONE,
            EventNotConfirmable,
            "event endpoint supports confirmable request messages only",
        ),
    ],
)
def test_what_is_missing_or_not_allowed_is_named(
    head: Head, session: Session, refusal: type[TuhonoError], text: str
) -> None:
    with pytest.raises(refusal):
        read_upload(head, session)
    assert refusal.told == text


def test_the_quality_of_service_follows_the_message_type() -> None:
    assert read_upload(asking("/t", is_confirmable=False), PUMP).qos == 0
    assert read_upload(asking("/t", is_confirmable=True), PUMP).qos == 1


@pytest.mark.parametrize(
    ("content_format", "name"),
    [
        (None, None),
        (0, "text/plain"),
        (42, "application/octet-stream"),
        (50, "application/json"),
        (60, "application/cbor"),
        (11050, "unknown/11050"),
        (64_999, "unknown/64999"),
    ],
)
def test_the_content_format_becomes_a_media_type(content_format: int | None, name: str | None) -> None:
    assert read_upload(asking("/t", content_format=content_format), PUMP).content_type == name


@pytest.mark.parametrize("parameter", ["empty", "empty=", "empty=true"])
def test_empty_in_the_query_makes_it_an_empty_notification(parameter: str) -> None:
    upload = read_upload(asking("/e", query=("x=1", parameter), content_format=50), PUMP)
    assert upload.content_type == EMPTY_NOTIFICATION


def test_parameters_of_similar_names_mean_nothing() -> None:
    assert read_upload(asking("/e", query=("emptyish", "hono-ttd=5", "x=empty")), PUMP).content_type is None


def test_the_query_is_no_part_of_the_address() -> None:
    assert read_upload(asking("/e", query=("empty",)), PUMP).orig_address == "/e"


@pytest.mark.parametrize("path", ["/", "/.well-known/core", "/telemetryx", "/cr/id", "//t"])
@pytest.mark.parametrize("method", [GET, POST, PUT])
def test_any_other_resource_is_not_found_and_nothing_is_said_of_it(path: str, method: int) -> None:
    answer = plan_of(asking(path, method=method))
    assert answer == Answer(0x84)
    assert spelled(answer.code) == "4.04"


@pytest.mark.parametrize("method", [GET, DELETE, 5, 31])
def test_other_methods_are_not_allowed(method: int) -> None:
    answer = plan_of(asking("/t", method=method))
    assert isinstance(answer, Answer) and spelled(answer.code) == "4.05"


@pytest.mark.parametrize("method", [POST, PUT])
def test_an_upload_is_looked_into(method: int) -> None:
    assert isinstance(plan_of(asking("/e", method=method)), UploadPlan)


def test_what_a_head_asks_for_is_thought_out_once_so_that_its_address_is_known_again() -> None:
    head = asking("/e")
    assert upload_plan(head).upload is upload_plan(head).upload


@pytest.mark.parametrize(
    "head",
    [
        asking("/t", elective=frozenset({SERVER_TIME})),
        asking("/t", query=("hono-time",)),
        asking("/t", query=("hono-time=1",)),
    ],
)
def test_the_time_is_told_where_asked_for(head: Head) -> None:
    answer = upload_plan(head).accepted(ManualClock())
    assert spelled(answer.code) == "2.04"
    ((number, value),) = answer.options
    assert number == 65_000
    assert int.from_bytes(value, "big") == 1_767_225_600_000


def test_the_time_is_not_told_where_not_asked_for() -> None:
    assert upload_plan(asking("/t", query=("time",))).accepted(ManualClock()) == Answer(0x44)
