"""A record is one line, whatever strangers put into its facts, and carries no secret."""

import asyncio
import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, TextIO

import pytest

import kernel.log
from kernel.log import FACT_MAX_CHARS, FORBIDDEN_FIELDS, Event, HumanFormatter, JsonFormatter, configure, fields
from tests.support.waiting import until

HOSTILE = "a\r\n12:00:00 error forged\x1b[31m\x7f\x9b2J\u202e\u2028\udcff\0é"


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no words")


def record(event: str = "device.admitted", /, *args: Any, fault: BaseException | None = None, **facts: object) -> Any:
    exc_info = (type(fault), fault, None) if fault else None
    made = logging.LogRecord("adapters.edge", logging.INFO, __file__, 1, event, args, exc_info)
    made.__dict__.update(fields(**facts))
    return made


@pytest.mark.parametrize("name", sorted(FORBIDDEN_FIELDS))
def test_a_field_that_would_carry_a_secret_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        fields(**{name: "x"})


def test_json_is_one_object_with_event_and_facts() -> None:
    entry = json.loads(
        JsonFormatter().format(record(tenant_id="t", handshake_ms=4.5, provisioned=True, anchor_id=None))
    )
    assert entry["event"] == "device.admitted"
    assert entry["level"] == "info"
    assert entry["logger"] == "adapters.edge"
    assert entry["time"].endswith("+00:00")
    assert (entry["tenant_id"], entry["handshake_ms"], entry["provisioned"]) == ("t", 4.5, True)
    assert entry["anchor_id"] is None


def test_hostile_facts_leave_json_one_line_of_ascii_and_come_back_whole() -> None:
    line = JsonFormatter().format(record(subject=HOSTILE))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["subject"] == HOSTILE


def test_a_fact_never_takes_the_place_of_time_level_event_or_logger() -> None:
    entry = json.loads(JsonFormatter().format(record(level="fatal", event="forged", time="never", logger="x")))
    assert (entry["level"], entry["event"], entry["logger"]) == ("info", "device.admitted", "adapters.edge")
    assert entry["time"] != "never"


@pytest.mark.parametrize("formatter", [JsonFormatter(), HumanFormatter()], ids=["json", "human"])
@pytest.mark.parametrize(
    "fact",
    [float("nan"), float("-inf"), 1 << 20_000, {("a", 1): 2}, b"\xff", Unspeakable(), object(), [1], ""],
    ids=lambda fact: type(fact).__name__,
)
def test_a_fact_of_any_kind_makes_one_line(formatter: logging.Formatter, fact: object) -> None:
    line = formatter.format(record(fact=fact))
    assert line.isprintable()
    assert "fact" in line


@pytest.mark.parametrize("formatter", [JsonFormatter(), HumanFormatter()], ids=["json", "human"])
def test_a_long_fact_is_cut(formatter: logging.Formatter) -> None:
    assert len(formatter.format(record(subject="x" * 100_000))) < FACT_MAX_CHARS + 300


@pytest.mark.parametrize("formatter", [JsonFormatter(), HumanFormatter()], ids=["json", "human"])
def test_a_format_string_that_does_not_fit_keeps_its_record(formatter: logging.Formatter) -> None:
    assert "%d of %s" in formatter.format(record("%d of %s", "x"))


def test_a_person_reads_name_and_value() -> None:
    line = HumanFormatter().format(record(tenant_id="t", subject="CN=a b", nothing=None))
    assert line[8:] == ' info    device.admitted tenant_id=t subject="CN=a b"'


def test_hostile_facts_and_events_stay_on_one_line_for_a_person() -> None:
    line = HumanFormatter().format(record("odd %s", HOSTILE, subject=HOSTILE))
    assert line.isprintable()
    line.encode()
    assert "é" in line


def test_a_value_cannot_pretend_to_be_another_field() -> None:
    assert HumanFormatter().format(record(a='" b="c')).endswith('a="\\" b=\\"c"')
    assert HumanFormatter().format(record(a="x b=c")).endswith('a="x b=c"')
    assert HumanFormatter().format(record(a="x\\")).endswith('a="x\\\\"')


def test_no_line_of_a_traceback_passes_for_a_record() -> None:
    lines = HumanFormatter().format(record(fault=ValueError("a\n12:00:00 info forged\r\x1b[2J"))).split("\n")
    assert all(line.startswith("  | ") for line in lines[1:])
    assert all(line.isprintable() for line in lines)


def test_a_traceback_is_a_member_of_the_json_line() -> None:
    line = JsonFormatter().format(record(fault=ValueError("a\nb")))
    assert "\n" not in line
    assert "ValueError: a\nb" in json.loads(line)["traceback"]


@contextmanager
def configured(monkeypatch: pytest.MonkeyPatch, stream: TextIO, **choices: bool) -> Iterator[None]:
    """Logging as a process sets it up, into this stream instead of standard error."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    monkeypatch.setattr(sys, "stderr", stream)
    try:
        configure("info", **choices)
        yield
    finally:
        root.handlers[:], root.level = before


def test_configured_records_go_to_standard_error_from_the_level_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    with configured(monkeypatch, stream):
        logging.getLogger("a").debug("not.written")
        logging.getLogger("a").info("device.admitted", extra=fields(tenant_id="t"))
    with configured(monkeypatch, stream, as_json=False):
        logging.getLogger("a").info("device.admitted", extra=fields(tenant_id="t"))
    first, second = stream.getvalue().splitlines()
    assert json.loads(first)["tenant_id"] == "t"
    assert second.endswith("device.admitted tenant_id=t")


def test_a_record_is_in_the_file_as_soon_as_it_was_logged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = logging.getLogger("a")
    with (tmp_path / "log").open("w") as stream, configured(monkeypatch, stream):
        log.info("device.refused")
        assert json.loads((tmp_path / "log").read_text())["event"] == "device.refused"


def numbers(file: Path) -> list[int]:
    return [json.loads(line)["number"] for line in file.read_text().splitlines()]


async def test_events_of_a_burst_wait_for_each_other_and_no_other_record_waits_for_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log, file = logging.getLogger("a"), tmp_path / "log"
    admitted = Event(log, "device.admitted", "number")
    monkeypatch.setattr(kernel.log, "HELD_MAX_S", 60.0)
    with file.open("w") as stream, configured(monkeypatch, stream):
        for number in range(4):
            admitted.info(number)
        assert numbers(file) == [0]  # the first of a burst is out at once
        log.info("device.refused", extra=fields(number=4))
        assert numbers(file) == [0, 1, 2, 3, 4]
        for number in range(5, 500):
            admitted.info(number)
        assert 350 < len(numbers(file)) < 500  # no more is held than the bound
        logging.getLogger().handlers[0].flush()  # as at the end of the process
        assert numbers(file) == list(range(500))


async def test_events_of_a_burst_are_written_soon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "log"
    admitted = Event(logging.getLogger("a"), "device.admitted", "number")
    with file.open("w") as stream, configured(monkeypatch, stream):
        for number in range(4):
            admitted.info(number)
        await until(lambda: numbers(file) == [0, 1, 2, 3])


def test_an_event_without_a_loop_to_see_to_it_is_written_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "log"
    admitted = Event(logging.getLogger("a"), "device.admitted", "number")
    monkeypatch.setattr(kernel.log, "HELD_MAX_S", 60.0)

    async def burst() -> None:
        admitted.info(0)
        admitted.info(1)

    with file.open("w") as stream, configured(monkeypatch, stream):
        asyncio.run(burst())  # the loop ends before it is time
        admitted.info(2)
        assert numbers(file) == [0, 1, 2]


async def test_what_logs_while_a_line_is_held_back_waits_for_no_other_thread(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A finaliser may log at any allocation. With a second lock, a thread that has that of the handler and wants
    the other would be waited for, and wait itself, for ever.
    """
    log, file, taken = logging.getLogger("a"), tmp_path / "log", list[bool]()
    admitted = Event(log, "device.admitted", "number")

    def take() -> None:
        lock = logging.getLogger().handlers[0].lock
        assert lock is not None
        taken.append(lock.acquire(blocking=False))
        if taken[-1]:
            lock.release()

    def finalise(*_: object) -> None:
        other = Thread(target=take)
        other.start()
        other.join()
        log.info("task.destroyed", extra=fields(number=2))

    monkeypatch.setattr(kernel.log, "HELD_MAX_S", 60.0)
    with file.open("w") as stream, configured(monkeypatch, stream):
        admitted.info(0)
        with monkeypatch.context() as collecting:
            collecting.setattr(asyncio.get_running_loop(), "call_later", finalise)
            admitted.info(1)
        logging.getLogger().handlers[0].flush()
    assert taken == [False] and sorted(numbers(file)) == [0, 1, 2]


def test_a_full_pipe_loses_whole_lines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.set_blocking(reader, False)
    log, received = logging.getLogger("a"), b""
    with os.fdopen(writer, "w") as stream, configured(monkeypatch, stream):
        for number in range(300):
            log.info("device.refused", extra=fields(number=number, detail="x" * 1009))
        received += os.read(reader, 1 << 20)
        log.info("device.admitted")
        received += os.read(reader, 1 << 20)
    os.close(reader)
    entries = [json.loads(line) for line in received.decode().splitlines()]
    assert [entry["number"] for entry in entries[:-1]] == list(range(len(entries) - 1))
    assert 10 < len(entries) < 300 and entries[-1]["event"] == "device.admitted"


FACTS = [
    "t",
    HOSTILE,
    'a"b\\',
    "100 %s",
    "x" * 10_000,
    12.25,
    float("inf"),
    7,
    1 << 20_000,
    True,
    None,
    [1],
    Unspeakable(),
]


def test_an_event_writes_the_line_that_its_record_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    log = logging.getLogger("a%s")
    names = [f"fact_{number}" for number in range(len(FACTS))]
    with configured(monkeypatch, stream):
        Event(log, "device.admitted", *names).info(*FACTS)
        log.info("device.admitted", extra=fields(**dict(zip(names, FACTS, strict=True))))
    first, second = (line.partition(", ") for line in stream.getvalue().splitlines())
    assert first[2] == second[2]
    assert json.loads("".join(first))["time"].endswith("+00:00")


def test_an_event_is_a_record_to_other_handlers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Event(logging.getLogger("a"), "device.admitted", "tenant_id").info("t")
    [record] = caplog.records
    assert (record.getMessage(), record.__dict__["tuhono_fields"]) == ("device.admitted", {"tenant_id": "t"})


def test_an_event_below_the_level_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    with configured(monkeypatch, stream):
        logging.getLogger().setLevel(logging.WARNING)
        Event(logging.getLogger("a"), "device.admitted").info()
    assert stream.getvalue() == ""


@pytest.mark.parametrize("name", ["password", "event"])
def test_an_event_has_no_field_that_it_may_not_have(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Event(logging.getLogger("a"), "device.admitted", name)


@pytest.mark.parametrize("values", [(), ("t", "d", "more")])
def test_an_event_takes_a_value_for_each_field(monkeypatch: pytest.MonkeyPatch, values: tuple[str, ...]) -> None:
    with configured(monkeypatch, io.StringIO()), pytest.raises(ValueError, match="size"):
        Event(logging.getLogger("a"), "device.admitted", "tenant_id", "device_id").info(*values)


@pytest.mark.parametrize("moment_s", [0.0, 1.0625, 1_700_000_000.999])
def test_time_is_told_to_the_millisecond(moment_s: float) -> None:
    made = record()
    made.created = moment_s
    expected = {0.0: "1970-01-01T00:00:00.000", 1.0625: "1970-01-01T00:00:01.062"}.get(
        moment_s, "2023-11-14T22:13:20.999"
    )
    assert json.loads(JsonFormatter().format(made))["time"] == expected + "+00:00"
