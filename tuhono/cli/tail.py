"""`tuhono tail`: what devices say and why strangers are refused, from the log and live."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from tuhono.cli.context import AsJson, ConfigFile, DataDir, Desk, desk
from tuhono.cli.errors import TimeInvalid
from tuhono.cli.output import as_json as rendered

if TYPE_CHECKING:
    from kernel.ids import TenantId
    from tuhono.chronicle import Chronicle, Entry, Place

LINES_MAX = 10_000
LOOK_EVERY_S = 0.2  # between looks for something new


def tail(
    tenant: Annotated[str | None, typer.Argument(metavar="TENANT", help="Only this tenant.")] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="POSITION|TIME",
            help="Start behind this position (0 is the very beginning), or at this ISO 8601 time.",
        ),
    ] = None,
    consumer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Go on where the consumer of this name left off, and remember its place."),
    ] = None,
    lines: Annotated[
        int,
        typer.Option(
            "--lines", "-n", min=0, max=LINES_MAX, metavar="N", help="Without the two: start this many entries back."
        ),
    ] = 10,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="Only entries of this kind; may be repeated. One of telemetry, event, provisioning, command_response,"
            " refusal and notification; without it, all but notifications.",
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on as things happen.")] = True,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Show telemetry, events and refusals, live.

    Telemetry, events, devices registered and strangers refused, from the durable log and as they happen; with --kind
    notification, every change of tenants, devices and credentials. With
    --json each line is one object; --since POSITION resumes behind it and misses and repeats nothing. A
    --consumer's place is remembered once its lines are written out: after a crash a few may come again, and none
    is missed. Use one name for one purpose: what a TENANT leaves out counts as read.
    """
    from kernel.clock import SystemClock
    from messaging.drivers.embedded_reader import EmbeddedLog
    from tuhono.chronicle import KINDS, SHOWN, Chronicle
    from tuhono.domain import LOG_FILE

    if since is not None and consumer is not None:
        raise typer.BadParameter("a consumer has a place of its own; give --since or --consumer, not both")
    if consumer == "":
        raise typer.BadParameter("a consumer needs a name")
    if unknown := sorted({*(kinds or ())} - {*KINDS}):
        raise typer.BadParameter(f"{unknown[0]!r} is none of the kinds {', '.join(KINDS)}")
    with (
        desk(config, data_dir) as at,
        closing(EmbeddedLog(path=at.settings.data_dir / LOG_FILE, clock=SystemClock())) as messages,
    ):
        chronicle = Chronicle(messages=messages, audit=at.store.audit, kinds=kinds or SHOWN)
        only = None if tenant is None else _tenant(at, chronicle, tenant)
        if consumer is not None:
            start = chronicle.place_of_consumer(consumer)
            chronicle.commit_consumer(consumer, start)  # a name that cannot be kept shows now
        elif since is not None:
            start = _place_of(chronicle, since)
        else:
            start = chronicle.place_before_newest(lines, tenant_id=only)
        _Tail(chronicle=chronicle, only=only, consumer=consumer, show=_shower(as_json)).run(start, follow=follow)


class _Tail:
    """Reads page after page and shows each."""

    def __init__(
        self,
        *,
        chronicle: Chronicle,
        only: TenantId | None,
        consumer: str | None,
        show: Callable[[Sequence[Entry]], None],
    ) -> None:
        self._chronicle = chronicle
        self._only = only
        self._consumer = consumer
        self._show = show

    def run(self, place: Place, *, follow: bool) -> None:
        """Up to what is there now, or until Ctrl-C."""
        end = self._chronicle.end()
        try:
            while follow or not place.reaches(end):
                mark = self._chronicle.mark()  # before reading: what comes meanwhile is a change
                page = self._chronicle.read(place, tenant_id=self._only)
                place = page.behind
                if page.entries:
                    self._show(page.entries)
                    if self._consumer is not None:
                        self._chronicle.commit_consumer(self._consumer, place)
                elif follow:
                    self._wait(mark)
        except KeyboardInterrupt:
            return

    def _wait(self, mark: tuple[int, int]) -> None:
        while self._chronicle.mark() == mark:
            time.sleep(LOOK_EVERY_S)


def _tenant(at: Desk, chronicle: Chronicle, name: str) -> TenantId:
    """One on record, or one that left something to read. Raises TenantUnknown."""
    from kernel.ids import TenantId
    from tenant.errors import TenantUnknown

    try:
        return at.tenants.get(name).tenant_id
    except TenantUnknown:
        gone = TenantId(name)
        if chronicle.place_before_newest(1, tenant_id=gone).reaches(chronicle.end()):
            raise
        return gone


def _place_of(chronicle: Chronicle, since: str) -> Place:
    from tuhono.chronicle import PlaceInvalid
    from tuhono.cli.given import moment_of

    if since.replace(".", "", 1).isdigit():
        return chronicle.place_of(since)
    try:
        return chronicle.place_at(moment_of(since))
    except TimeInvalid as fault:
        raise PlaceInvalid(
            f"{since!r} is neither a position, such as 12.3, nor an ISO 8601 time, such as 2026-01-31T12:00:00Z"
        ) from fault


def _shower(as_json: bool) -> Callable[[Sequence[Entry]], None]:
    if as_json:
        return _show_json
    from tuhono.cli.tail_lines import show_lines

    return show_lines


def _show_json(entries: Sequence[Entry]) -> None:
    sys.stdout.write("".join(rendered(entry.as_json()) + "\n" for entry in entries))
    sys.stdout.flush()
