"""What people read: one line an entry, facts and tables; nothing a device said moves the cursor."""

import json
import shlex
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from kernel.clock import ManualClock
from messaging.message import PROVISIONING_NOTIFICATION, KeptMessage, MessageKind
from tenant.audit import AuditRow
from tests.support.messages import a_message
from tuhono.chronicle import Entry, Place
from tuhono.cli.demo_stage import command_lines, where
from tuhono.cli.output import print_facts, print_table, shown
from tuhono.cli.tail_lines import line_of

NOW = ManualClock().now()


def told(payload: bytes | None, content_type: str | None = "text/plain", *, with_colours: bool = False) -> str:
    message = KeptMessage(position=1, message=a_message(payload, content_type=content_type))
    return line_of(Entry(place=Place(1, 0), moment=NOW, message=message), with_colours=with_colours)


def refused(**facts: str) -> str:
    row = AuditRow(moment=NOW, what="device.refused", code="untrusted-issuer", facts=facts)
    return line_of(Entry(place=Place(0, 1), moment=NOW, refusal=row), with_colours=False)


def test_a_message_is_one_line_with_position_kind_device_and_payload() -> None:
    line = told(b'{"temp": 21}')
    assert line.startswith("1.0 ")
    assert line.endswith('telemetry    acme/sensor-1 text/plain {"temp": 21}')


def test_the_date_is_told_unless_it_is_today() -> None:
    assert "2026-01-01" in told(b"x") or "2025-12-31" in told(b"x")  # wherever this runs
    today = datetime.now().astimezone()
    message = KeptMessage(position=1, message=a_message())
    line = line_of(Entry(place=Place(1, 0), moment=today, message=message), with_colours=False)
    assert line.startswith(f"1.0 {today:%H:%M:%S} ")


@pytest.mark.parametrize(
    ("payload", "ending"),
    [
        (None, "(empty)"),
        (b"", "(empty)"),
        (b"\x00\x01\xfe", "0001fe"),
        ("grün".encode(), "grün"),
        (b"a" * 201, "a" * 200 + "…"),
        (b"\x00" * 5_000, "00" * 100 + "…"),
        ("ü".encode() * 500, "ü" * 200 + "…"),
    ],
)
def test_a_payload_is_shown_as_text_or_hex_and_never_at_length(payload: bytes | None, ending: str) -> None:
    assert told(payload).endswith(f"text/plain {ending}")


def test_a_refusal_tells_who_why_and_from_where() -> None:
    line = refused(subject="CN=a", detail="no tenant trusts it", adapter="hono-mqtt", remote="10.0.0.1:5")
    assert line.endswith("CN=a untrusted-issuer: no tenant trusts it [hono-mqtt from 10.0.0.1:5]")
    assert "(no certificate) untrusted-issuer" in refused()


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\r\n\x07", "\u202e", "\x00", "\ud800", "\x9b1m"])
def test_nothing_a_stranger_says_reaches_the_terminal_as_it_is(hostile: str) -> None:
    for line in (refused(subject=hostile, detail=hostile, remote=hostile), told(b"x", hostile), shown(hostile)):
        assert line.isprintable()
        assert hostile not in line


def test_colours_are_for_terminals() -> None:
    assert "\x1b[36m" in told(b"x", with_colours=True)
    assert "\x1b" not in told(b"x")


def test_facts_stand_under_each_other_without_those_that_are_unset(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts({"a": True, "longer": "x\ny", "gone": None, "empty": "", "none": []})
    assert capsys.readouterr().out == "a       yes\nlonger  x\\ny\n"


def test_a_table_cuts_nothing_off(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "B"), [("x" * 300, False), ("y", True)], empty="nothing")
    head, first, second = capsys.readouterr().out.splitlines()
    assert head == "A" + " " * 301 + "B"
    assert first == "x" * 300 + "  no"
    assert second.split() == ["y", "yes"]
    print_table(("A",), [], empty="nothing")
    assert capsys.readouterr().out == "nothing\n"


@pytest.mark.parametrize("width", [20, 40, 78, 1_000])
def test_a_command_in_lines_is_the_same_command(width: int) -> None:
    words = ["curl", "-i", "--cert", "/a b/c'd.pem", "-d", '{"t": 1}', "-H", "X: y", "https://localhost:1/t", "-q"]
    lines = list(command_lines(words, width=width))
    assert all(line.endswith(" \\") for line in lines[:-1])
    joined = "".join(line.removesuffix("\\") for line in lines)
    assert shlex.split(joined) == words
    if width > 40:
        assert all(len(line) <= width for line in lines)


def test_an_option_stays_with_its_value() -> None:
    for line in command_lines(["program", "--long-option", "its-value", "--other", "value"], width=30):
        assert ("--long-option" in line) == ("its-value" in line)


def test_the_usual_data_directory_needs_no_word() -> None:
    assert where(Path("data")) == []
    assert where(Path("else")) == ["-d", "else"]


def test_an_entry_of_any_age_has_a_line() -> None:
    for days in (-300_000, 300_000):
        message = KeptMessage(position=1, message=a_message())
        assert line_of(Entry(place=Place(1, 0), moment=NOW + timedelta(days=days), message=message), with_colours=False)


@pytest.mark.parametrize(
    ("document", "device_id", "words"),
    [
        ({"type": "tenant-change-v1", "change": "CREATE", "enabled": True}, "", "acme tenant created"),
        ({"type": "tenant-change-v1", "change": "UPDATE", "enabled": False}, "", "acme tenant updated, disabled"),
        ({"type": "device-change-v1", "change": "UPDATE", "enabled": True}, "s-1", "acme/s-1 device updated"),
        ({"type": "device-change-v1", "change": "DELETE", "enabled": False}, "s-1", "acme/s-1 device deleted"),
        ({"type": "credentials-change-v1"}, "s-1", "acme/s-1 credentials changed"),
        ({"type": "all-devices-of-tenant-deleted-v1"}, "", "acme all devices deleted"),
        ({"type": "of-tomorrow-v1"}, "", "acme of-tomorrow-v1"),
    ],
)
def test_a_notification_is_told_in_plain_words(document: dict[str, object], device_id: str, words: str) -> None:
    message = a_message(json.dumps(document).encode(), device_id=device_id, kind=MessageKind.NOTIFICATION)
    entry = Entry(place=Place(1, 0), moment=NOW, message=KeptMessage(position=1, message=message))
    assert line_of(entry, with_colours=False).endswith(f" notification {words}")


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({}, "registered"),
        ({"hono_registration_status": "NEW", "gateway_id": "gw-1"}, "registered behind gw-1"),
        ({"hono_registration_status": "UPDATED"}, "updated"),
        ({"hono_registration_status": "DELETED"}, "deleted"),
    ],
)
def test_an_event_of_a_device_s_life_is_told_in_plain_words(properties: dict[str, object], words: str) -> None:
    message = a_message(None, content_type=PROVISIONING_NOTIFICATION, kind=MessageKind.EVENT, properties=properties)
    entry = Entry(place=Place(1, 0), moment=NOW, message=KeptMessage(position=1, message=message))
    assert line_of(entry, with_colours=False).endswith(f"provisioning acme/sensor-1 {words}")
