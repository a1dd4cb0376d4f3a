"""The load says what the protocols have a device say, and takes no wrong answer for a right one."""

from collections import deque

import pytest

from benchmarks.load import coap, http, mqtt
from benchmarks.load.errors import WrongAnswer
from benchmarks.load.links import Steps


class ScriptedLink:
    """Answers come from a list, one a read; what is written is remembered."""

    fd = -1

    def __init__(self, *answers: bytes) -> None:
        self.answers = deque(answers)
        self.written: list[bytes] = []

    def handshake(self) -> Steps:
        return iter(())

    def read(self) -> bytes | None:
        return self.answers.popleft() if self.answers else None

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def on_silence(self) -> None: ...

    def close(self) -> None: ...


def is_done(steps: Steps, *, turns: int = 20) -> bool:
    """Whether the script comes to its end within so many turns."""
    return any(next(steps, "end") == "end" for _ in range(turns))


def acks(*packet_ids: int) -> bytes:
    return b"".join(map(mqtt.render_puback, packet_ids))


@pytest.mark.parametrize("together", [True, False])
def test_a_window_is_filled_again_as_far_as_it_was_acknowledged(together: bool) -> None:
    link = ScriptedLink(acks(1), acks(2, 3), acks(1, 2))
    assert is_done(mqtt.publish(link, b"{}", count=5, window=3, together=together))
    packets = [mqtt.render_publish(b"{}", packet_id) for packet_id in (1, 2, 3, 1, 2)]
    assert b"".join(link.written) == b"".join(packets)
    assert len(link.written) == (3 if together else 5)


def test_acknowledgements_may_be_cut_anywhere() -> None:
    whole = acks(1, 2, 1, 2)
    link = ScriptedLink(whole[:3], whole[3:4], whole[4:9], whole[9:])
    assert is_done(mqtt.publish(link, b"{}", count=4, window=2, together=False))


@pytest.mark.parametrize("answer", [acks(2), acks(1, 1), acks(1, 2, 1, 2), b"\x90\x03\x00\x01\x00"])
def test_an_acknowledgement_out_of_order_or_of_nothing_is_a_wrong_answer(answer: bytes) -> None:
    with pytest.raises(WrongAnswer):
        is_done(mqtt.publish(ScriptedLink(answer), b"{}", count=10, window=2, together=False))


def test_publishing_waits_for_the_last_acknowledgement() -> None:
    assert not is_done(mqtt.publish(ScriptedLink(acks(1)), b"{}", count=2, window=2, together=False))


def test_a_connection_counts_only_when_it_is_accepted() -> None:
    assert is_done(mqtt.connect(ScriptedLink(b"\x20\x02", b"\x00\x00"), "d"))
    with pytest.raises(WrongAnswer):
        is_done(mqtt.connect(ScriptedLink(b"\x20\x02\x00\x05"), "d"))


def test_an_http_answer_is_one_whole_202_and_nothing_else() -> None:
    accepted = b"HTTP/1.1 202 Accepted\r\nServer: x\r\ncontent-length: 2\r\n\r\nok"
    request = http.render_post(b"{}", qos=1)
    assert b"QoS-Level: 1\r\n" in request
    assert request.endswith(b"Content-Length: 2\r\n\r\n{}")
    assert is_done(http.post(ScriptedLink(accepted[:30], accepted[30:-1], accepted[-1:]), request, count=1))
    assert not is_done(http.post(ScriptedLink(accepted[:-1]), request, count=1))
    for wrong in (accepted + b"H", accepted.replace(b"202", b"503"), b"HTTP/1.1 202 Accepted\r\n\r\n"):
        with pytest.raises(WrongAnswer):
            is_done(http.post(ScriptedLink(wrong), request, count=1))


def test_a_coap_answer_acknowledges_the_very_request() -> None:
    right = [coap.render_answer_start(message_id, coap.CHANGED) for message_id in (7, 8)]
    link = ScriptedLink(*right)
    assert is_done(coap.upload(link, b"{}", count=2, first_id=7, method=coap.POST))
    assert link.written[0] == b"\x42\x02\x00\x07\x2a\x2b" + b"\xb9telemetry" + b"\x11\x32" + b"\xff{}"
    for wrong in (right[1], coap.render_answer_start(7, 0x80), right[0][:5]):
        with pytest.raises(WrongAnswer):
            is_done(coap.upload(ScriptedLink(wrong), b"{}", count=1, first_id=7, method=coap.POST))
