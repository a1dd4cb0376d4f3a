"""What a request's path, method and headers ask for."""

import pytest

from adapters.http.errors import DeviceMissing, PathMalformed, QosLevelUnsupported, TenantMissing
from adapters.http.routes import Preflight, UploadPlan, plan_of
from adapters.http.wire.head import RequestHead, RequestLimits, parse_head
from adapters.sessions.session import session_of
from messaging.message import MessageKind
from tests.support.http import DEVICE

LIMITS = RequestLimits(header_max_bytes=8192, headers_max=64, body_max_bytes=2048)
NOBODY = session_of(None, adapter="hono-http", remote="192.0.2.1:50000")


def a_head(method: str, target: str, *headers: str) -> RequestHead:
    lines = [f"{method} {target} HTTP/1.1", "Host: h", *headers, "", ""]
    return parse_head("\r\n".join(lines).encode("latin-1"), LIMITS)


def upload_plan(target: str, *headers: str, method: str = "POST") -> UploadPlan:
    found = plan_of(a_head(method, target, *headers))
    assert isinstance(found, UploadPlan)
    return found


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("target", "kind", "tenant", "device"),
    [
        ("/telemetry", MessageKind.TELEMETRY, None, None),
        ("/event", MessageKind.EVENT, None, None),
        ("/telemetry/", MessageKind.TELEMETRY, None, None),
        ("/telemetry//", MessageKind.TELEMETRY, None, None),
        ("/telemetry?a=/b", MessageKind.TELEMETRY, None, None),
        ("/telemetry/acme/sensor-1", MessageKind.TELEMETRY, "acme", "sensor-1"),
        ("/event/acme/sensor-1/?x", MessageKind.EVENT, "acme", "sensor-1"),
        ("/telemetry//sensor-1", MessageKind.TELEMETRY, None, "sensor-1"),
        ("/event//sensor-1", MessageKind.EVENT, None, "sensor-1"),
        ("/telemetry/acme/test%3A4711", MessageKind.TELEMETRY, "acme", "test:4711"),
        ("/telemetry%2Facme%2fsensor-1", MessageKind.TELEMETRY, "acme", "sensor-1"),
        ("/%74elemetry", MessageKind.TELEMETRY, None, None),
        ("/telemetry/acme/m%C3%A4r", MessageKind.TELEMETRY, "acme", "mär"),
        ("/telemetry/acme/a+b", MessageKind.TELEMETRY, "acme", "a+b"),
        ("/telemetry/acme/%2525", MessageKind.TELEMETRY, "acme", "%25"),
        ("http://gateway.example.com/telemetry", MessageKind.TELEMETRY, None, None),
        ("HTTPS://gateway.example.com:8443/event//d?x", MessageKind.EVENT, None, "d"),
    ],
)
def test_a_path_names_the_kind_and_whose_data_it_is(
    method: str, target: str, kind: MessageKind, tenant: str | None, device: str | None
) -> None:
    found = upload_plan(target, method=method)
    assert (found.head.kind, found.head.tenant, found.head.device) == (kind, tenant, device)
    assert found.refusal is None
    assert found.head.orig_address == target


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/t",
        "/telemetries",
        "/Telemetry",
        "//telemetry",
        "/telemetry/a/b/c",
        "/command/res/4711",
        "http://gateway.example.com",
        "http://gateway.example.com?x",
        "/../telemetry",
        "/telemetry/../sensor-1",
        "/telemetry/acme/%2e%2E",
        "/telemetry/acme/.",
    ],
)
def test_nothing_else_is_served(target: str) -> None:
    assert plan_of(a_head("POST", target)) is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PATCH", "TRACE"])
def test_only_post_and_put_upload(method: str) -> None:
    assert plan_of(a_head(method, "/telemetry")) is None


@pytest.mark.parametrize("target", ["/%", "/telemetry/%4", "/telemetry/a/%zz", "/telemetry/a/%FF", "/telemetry/a/b%00"])
def test_a_path_that_cannot_be_decoded_is_refused(target: str) -> None:
    with pytest.raises(PathMalformed):
        plan_of(a_head("POST", target))


@pytest.mark.parametrize("code", [*range(0x20), 0x7F])
def test_control_characters_never_become_a_device(code: int) -> None:
    with pytest.raises(PathMalformed):
        plan_of(a_head("POST", f"/telemetry/acme/a%{code:02X}b"))


def test_a_tenant_without_a_device_is_refused() -> None:
    assert isinstance(upload_plan("/telemetry/acme").refusal, DeviceMissing)
    assert isinstance(upload_plan("/telemetry/acme/").refusal, DeviceMissing)


def test_an_anonymous_sender_names_tenant_and_device() -> None:
    assert isinstance(upload_plan("/telemetry").refusal_for(NOBODY), DeviceMissing)
    assert isinstance(upload_plan("/telemetry//d").refusal_for(NOBODY), TenantMissing)
    assert upload_plan("/telemetry/acme/d").refusal_for(NOBODY) is None
    wrong_qos = upload_plan("/telemetry/acme/d", "QoS-Level: 3").refusal_for(NOBODY)
    assert isinstance(wrong_qos, QosLevelUnsupported)


def test_a_known_sender_needs_to_name_neither() -> None:
    known = session_of(DEVICE, adapter="hono-http", remote="192.0.2.1:50000")
    assert upload_plan("/telemetry").refusal_for(known) is None
    assert isinstance(upload_plan("/telemetry/acme").refusal_for(known), DeviceMissing)


@pytest.mark.parametrize(
    ("target", "level", "qos"),
    [
        ("/telemetry", None, 0),
        ("/telemetry", "0", 0),
        ("/telemetry", "1", 1),
        ("/event", None, 1),
        ("/event", "1", 1),
    ],
)
def test_the_level_of_service_is_asked_for_in_a_header(target: str, level: str | None, qos: int) -> None:
    found = upload_plan(target, *([] if level is None else [f"QoS-Level: {level}"]))
    assert (found.head.qos, found.refusal) == (qos, None)


@pytest.mark.parametrize(
    ("target", "level"),
    [
        ("/event", "0"),
        ("/telemetry", "2"),
        ("/event", "2"),
        ("/telemetry", "abc"),
        ("/telemetry", ""),
        ("/event", "-1"),
    ],
)
def test_any_other_level_is_refused(target: str, level: str) -> None:
    assert isinstance(upload_plan(target, f"QoS-Level: {level}").refusal, QosLevelUnsupported)


def test_a_level_given_twice_is_refused() -> None:
    assert isinstance(upload_plan("/telemetry", "QoS-Level: 0", "QoS-Level: 1").refusal, QosLevelUnsupported)


@pytest.mark.parametrize(
    ("target", "headers", "ttl_s"),
    [
        ("/event", [], None),
        ("/event", ["hono-ttl: 30"], 30),
        ("/event", ["hono-ttl: 0"], 0),
        ("/event?hono-ttl=30", [], 30),
        ("/event?a=b&hono-ttl=%33%30&hono-ttl=4", [], 30),
        ("/event?hono-ttl=30", ["hono-ttl: 60"], 60),
        ("/event?hono-ttl=30", ["hono-ttl: abc"], None),
        ("/event?hono-ttl", [], None),
        ("/event?x-hono-ttl=30", [], None),
        ("/event", ["hono-ttl: -1"], None),
        ("/event", ["hono-ttl: 1.5"], None),
        ("/event", ["hono-ttl: 99999999999"], None),
        ("/event", ["hono-ttl: 30", "hono-ttl: 60"], None),
        ("/telemetry", ["hono-ttl: 30"], None),
        ("/telemetry?hono-ttl=30", [], None),
    ],
)
def test_an_event_may_have_a_time_to_live(target: str, headers: list[str], ttl_s: int | None) -> None:
    assert upload_plan(target, *headers).head.ttl_s == ttl_s


def test_a_content_type_is_passed_on_as_it_came() -> None:
    assert upload_plan("/event", "Content-Type: text/plain; charset=x").head.content_type == "text/plain; charset=x"
    assert upload_plan("/event", "Content-Type:").head.content_type is None
    assert upload_plan("/event").head.content_type is None


def test_all_that_a_head_says_of_an_upload() -> None:
    upload = upload_plan("/event/acme/d?x=1", "hono-ttl: 3", "Content-Type: a/b").head
    assert (upload.kind, upload.tenant, upload.device, upload.qos) == (MessageKind.EVENT, "acme", "d", 1)
    assert (upload.content_type, upload.ttl_s) == ("a/b", 3)
    assert upload.orig_address == "/event/acme/d?x=1"


def test_a_browser_may_ask_before_it_uploads() -> None:
    asked = a_head("OPTIONS", "/event//d", "Origin: https://a.example", "Access-Control-Request-Method: PUT")
    assert plan_of(asked) == Preflight(kind=MessageKind.EVENT, origin="https://a.example")


@pytest.mark.parametrize("headers", [[], ["Origin: https://a.example"], ["Access-Control-Request-Method: PUT"]])
def test_options_without_origin_or_method_are_no_preflight(headers: list[str]) -> None:
    assert plan_of(a_head("OPTIONS", "/event", *headers)) is None


def test_options_of_the_whole_server_are_not_served() -> None:
    assert plan_of(a_head("OPTIONS", "*", "Origin: a", "Access-Control-Request-Method: PUT")) is None
