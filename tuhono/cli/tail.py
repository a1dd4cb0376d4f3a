"""`tuhono tail`: what devices say and why strangers are refused, from the log and live."""

import time
from contextlib import closing
from typing import Annotated

import typer
from rich.text import Text

from kernel.clock import SystemClock
from kernel.ids import TenantId
from messaging.drivers.embedded_reader import EmbeddedLog
from tuhono.chronicle import Chronicle, Entry, Place
from tuhono.cli.context import AsJson, ConfigFile, DataDir, desk
from tuhono.cli.output import out, print_json, shown
from tuhono.domain import LOG_FILE

PAGE_ENTRIES = 500
LOOK_EVERY_S = 0.2  # between looks for something new
PAYLOAD_SHOWN_MAX = 200  # characters of a payload on a terminal
STYLES = {"telemetry": "cyan", "event": "magenta", "provisioning": "green", "refusal": "red"}


def tail(
    tenant: Annotated[str | None, typer.Argument(help="Only this tenant.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Start behind this position, or at this ISO 8601 time; 0 is the very beginning.")
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Without --since: start this many back.")] = 10,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on as things happen.")] = True,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Show telemetry, events, provisioning and refusals as they happen.

    With --json each line is one object; resume behind it with --since POSITION.
    """
    with desk(config, data_dir, as_json=as_json) as at:
        with closing(EmbeddedLog(path=at.settings.data_dir / LOG_FILE, clock=SystemClock())) as messages:
            chronicle = Chronicle(messages=messages, audit=at.store.audit)
            only = None if tenant is None else TenantId(tenant)
            place = _back(chronicle.end(), lines) if since is None else chronicle.place_of(since)
            _print_all(chronicle, place, only, follow=follow, as_json=as_json)


def _back(end: Place, lines: int) -> Place:
    return Place(max(0, end.message - lines), max(0, end.audit - lines))


def _print_all(chronicle: Chronicle, place: Place, only: TenantId | None, *, follow: bool, as_json: bool) -> None:
    try:
        while True:
            entries = chronicle.read(place, limit=PAGE_ENTRIES, tenant_id=only)
            for entry in entries:
                if as_json:
                    print_json(entry.as_json())
                else:
                    out.print(_line(entry))
                place = entry.place
            if not entries:
                if not follow:
                    return
                time.sleep(LOOK_EVERY_S)
    except (KeyboardInterrupt, BrokenPipeError):
        return


def _line(entry: Entry) -> Text:
    line = Text(f"{entry.place} {entry.moment.astimezone():%H:%M:%S} ")
    line.append(f"{entry.kind:<12} ", style=STYLES.get(entry.kind, ""))
    if entry.refusal is not None:
        row = entry.refusal
        line.append(f"{shown(row.code)}: {shown(row.facts.get('detail', ''))}")
        line.append(
            f" [{shown(row.facts.get('adapter', '-'))} from {shown(row.facts.get('remote', '-'))}]", style="dim"
        )
        return line
    assert entry.message is not None
    message = entry.message.message
    line.append(f"{shown(message.tenant_id)}/{shown(message.device_id)} ")
    if entry.kind == "provisioning":
        line.append("registered")
        return line
    line.append(f"{shown(message.content_type)} ", style="dim")
    line.append(_payload_shown(message.payload))
    return line


def _payload_shown(payload: bytes | None) -> str:
    if not payload:
        return "(empty)"
    text = payload[: PAYLOAD_SHOWN_MAX + 1].decode("utf-8", "replace")
    if not text.isprintable():
        text = payload[: PAYLOAD_SHOWN_MAX // 2 + 1].hex()
    return text if len(text) <= PAYLOAD_SHOWN_MAX else text[:PAYLOAD_SHOWN_MAX] + "…"
