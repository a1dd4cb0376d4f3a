"""One line an entry for people, in colour on a terminal. Nothing a device said moves the cursor."""

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime

from tuhono.chronicle import Entry
from tuhono.cli.output import is_colourful, shown

PAYLOAD_SHOWN_MAX = 200  # characters of a payload
STYLES = {"telemetry": "36", "event": "35", "provisioning": "32", "refusal": "31", "notification": "33"}  # SGR colours
STATUSES = {"NEW": "registered", "UPDATED": "updated", "DELETED": "deleted"}
CHANGES = {"CREATE": "created", "UPDATE": "updated", "DELETE": "deleted"}
DIM = "2"
Piece = tuple[str, str]  # text and its SGR code, "" for none


def show_lines(entries: Sequence[Entry]) -> None:
    """Print them, at once."""
    with_colours = is_colourful(sys.stdout)
    sys.stdout.write("".join(line_of(entry, with_colours=with_colours) + "\n" for entry in entries))
    sys.stdout.flush()


def line_of(entry: Entry, *, with_colours: bool) -> str:
    """Position, local time, kind, and what it is about."""
    return "".join(_painted(text, code) if with_colours and code else text for text, code in _pieces(entry))


def _painted(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"


def _pieces(entry: Entry) -> Iterator[Piece]:
    yield f"{entry.place} {_time(entry.moment)} ", ""
    yield f"{entry.kind:<12} ", STYLES.get(entry.kind, "")
    if entry.refusal is not None:
        row = entry.refusal
        yield f"{shown(row.facts.get('subject', '(no certificate)'))} ", ""
        yield f"{shown(row.code)}: {shown(row.facts.get('detail', ''))}", ""
        yield f" [{shown(row.facts.get('adapter', '-'))} from {shown(row.facts.get('remote', '-'))}]", DIM
        return
    assert entry.message is not None
    message = entry.message.message
    about = f"{shown(message.tenant_id)}/{shown(message.device_id)}" if message.device_id else shown(message.tenant_id)
    yield f"{about} ", ""
    if entry.kind == "provisioning":
        status = str(message.properties.get("hono_registration_status", "NEW"))
        yield STATUSES.get(status, shown(status)), ""
        gateway = message.properties.get("gateway_id")
        if gateway is not None:
            yield f" behind {shown(str(gateway))}", DIM
        return
    if entry.kind == "notification":
        yield _change_shown(message.payload), ""
        return
    yield f"{shown(message.content_type or '-')} ", DIM
    yield _payload_shown(message.payload), ""


def _change_shown(payload: bytes | None) -> str:
    """A notification of the registry in words."""
    document = json.loads(payload or b"{}")
    type_, change = document.get("type"), CHANGES.get(document.get("change"), "changed")
    state = "" if document.get("enabled") is not False or change == "deleted" else ", disabled"
    match type_:
        case "tenant-change-v1":
            return f"tenant {change}{state}"
        case "device-change-v1":
            return f"device {change}{state}"
        case "credentials-change-v1":
            return "credentials changed"
        case "all-devices-of-tenant-deleted-v1":
            return "all devices deleted"
        case _:
            return shown(str(type_))


def _time(moment: datetime) -> str:
    """The date, too, unless it is today's."""
    local = moment.astimezone()
    return f"{local:%H:%M:%S}" if local.date() == datetime.now().date() else f"{local:%Y-%m-%d %H:%M:%S}"


def _payload_shown(payload: bytes | None) -> str:
    if not payload:
        return "(empty)"
    text = payload[: 4 * PAYLOAD_SHOWN_MAX + 4].decode("utf-8", "replace")
    if not text.isprintable():
        text = payload[: PAYLOAD_SHOWN_MAX // 2 + 1].hex()
    return text if len(text) <= PAYLOAD_SHOWN_MAX else text[:PAYLOAD_SHOWN_MAX] + "…"
