"""The two orders of what falls due."""

import pytest

from adapters.coap.wire.deadlines import Agenda, EqualDelays


def test_equal_delays_are_given_out_oldest_first_and_once() -> None:
    delays: EqualDelays[str] = EqualDelays(delay_s=2.0)
    for thing, now in {"a": 0.0, "b": 1.0, "c": 1.5}.items():
        delays[thing] = now + delays.delay_s
    delays.pop("b", None)
    delays.pop("never there", None)
    assert delays.next_due == 2.0
    assert list(delays.take_due(1.9)) == []
    assert list(delays.take_due(3.5)) == ["a", "c"]
    assert delays.next_due is None
    assert len(delays) == 0


def test_the_oldest_can_be_taken_early() -> None:
    delays: EqualDelays[str] = EqualDelays(delay_s=2.0)
    delays["a"] = 2.0
    assert delays.take_oldest() == "a"
    with pytest.raises(KeyError):
        delays.take_oldest()


def test_an_agenda_gives_out_the_earliest_first() -> None:
    agenda: Agenda[str] = Agenda()
    agenda.set("late", 9.0)
    agenda.set("early", 1.0)
    agenda.set("moved", 2.0)
    agenda.set("moved", 8.0)
    agenda.set("gone", 0.5)
    agenda.discard("gone")
    assert agenda.next_due == 1.0
    assert list(agenda.take_due(8.5)) == ["early", "moved"]
    assert agenda.next_due == 9.0
    assert len(agenda) == 1


def test_what_was_discarded_takes_no_room_for_long() -> None:
    agenda: Agenda[int] = Agenda()
    for thing in range(10_000):
        agenda.set(thing, 1000.0 - thing / 100)
        agenda.discard(thing)
    agenda.set(-1, 5.0)
    assert len(agenda._heap) <= 2 * len(agenda) + Agenda._SPARE
    assert list(agenda.take_due(2000.0)) == [-1]
