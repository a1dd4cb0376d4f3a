"""What CoAP devices do: confirmable uploads over one DTLS association, one at a time (NSTART of RFC 7252 is 1)."""

from benchmarks.load.errors import WrongAnswer
from benchmarks.load.links import Link, Steps

POST, PUT = 0x02, 0x03
CREATED, CHANGED = 0x41, 0x44
_CONFIRMABLE, _ACKNOWLEDGEMENT = 0x40, 0x60
_URI_PATH, _CONTENT_FORMAT = 11, 12
_JSON = 50
_TOKEN = b"\x2a\x2b"
_HEAD_BYTES = 4


def render_upload(payload: bytes, message_id: int, *, method: int) -> bytes:
    """A CON request on /telemetry, application/json (RFC 7252 section 3)."""
    path = b"telemetry"
    options = bytes([_URI_PATH << 4 | len(path)]) + path + bytes([_CONTENT_FORMAT - _URI_PATH << 4 | 1, _JSON])
    head = bytes([_CONFIRMABLE | len(_TOKEN), method]) + message_id.to_bytes(2, "big") + _TOKEN
    return head + options + b"\xff" + payload


def render_answer_start(message_id: int, code: int) -> bytes:
    """What a piggy-backed answer to that request begins with."""
    return bytes([_ACKNOWLEDGEMENT | len(_TOKEN), code]) + message_id.to_bytes(2, "big") + _TOKEN


def upload(link: Link, payload: bytes, *, count: int, first_id: int, method: int, code: int = CHANGED) -> Steps:
    """`count` requests with consecutive message ids, each sent when the one before is answered with `code`."""
    for i in range(count):
        message_id = (first_id + i) % 65_536
        link.write(render_upload(payload, message_id, method=method))
        answer = None
        while answer is None:
            yield
            answer = link.read()
        if not answer.startswith(render_answer_start(message_id, code)):
            raise WrongAnswer(f"acknowledgement of {message_id} with code {code:#x}", answer)
