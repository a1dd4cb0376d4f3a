"""What a browser is told."""

from adapters.http.cors import Cors
from adapters.http.refusals import ACCEPTED
from messaging.message import MessageKind

ORIGIN = "https://a.example"


def test_any_origin_may_call_by_default() -> None:
    answer = Cors(allowed_origin="*").preflight(MessageKind.TELEMETRY, ORIGIN)
    assert answer.status == 204
    assert dict(answer.headers) == {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "POST, PUT",
        "Access-Control-Allow-Headers": "QoS-Level, hono-ttd, authorization, content-type",
    }


def test_an_event_takes_no_qos_level() -> None:
    answer = Cors(allowed_origin="*").preflight(MessageKind.EVENT, ORIGIN)
    assert dict(answer.headers)["Access-Control-Allow-Headers"] == "hono-ttd, authorization, content-type"


def test_a_page_may_read_what_an_answer_says_about_a_command() -> None:
    dressed = Cors(allowed_origin="*").dress(ACCEPTED, ORIGIN)
    assert dict(dressed.headers) == {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": "hono-command, hono-cmd-req-id",
    }


def test_one_origin_may_be_named_and_no_other_may_call() -> None:
    cors = Cors(allowed_origin=ORIGIN)
    assert dict(cors.preflight(MessageKind.EVENT, ORIGIN).headers)["Access-Control-Allow-Origin"] == ORIGIN
    assert dict(cors.dress(ACCEPTED, ORIGIN).headers)["Vary"] == "Origin"
    for other in ("https://b.example", "null", "*"):
        assert dict(cors.preflight(MessageKind.EVENT, other).headers) == {"Vary": "Origin"}
        assert dict(cors.dress(ACCEPTED, other).headers) == {"Vary": "Origin"}
