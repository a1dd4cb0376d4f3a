"""`tuhono audit`: who changed what, when and from where, and what was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuhono.cli.context import AsJson, ConfigFile, DataDir, desk
from tuhono.cli.given import moment_of
from tuhono.cli.output import print_json, print_table

if TYPE_CHECKING:
    from registry.ports import AuditRepository
    from tenant.audit import AuditRow

PAGE_ROWS = 500


def audit(
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="Only what was done in this tenant.")] = None,
    device: Annotated[str | None, typer.Option(metavar="DEVICE", help="Only what was done to this device.")] = None,
    actor: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only what this operator did; local:USER on the machine itself.")
    ] = None,
    what: Annotated[
        str | None, typer.Option(metavar="KIND", help="Only this kind, as device.updated; 'device.' is all of these.")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Only from this moment on, ISO 8601.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Only before this moment, ISO 8601.")] = None,
    last: Annotated[int, typer.Option("--last", "-n", min=1, max=1_000_000, metavar="N", help="How many.")] = 50,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """List what was done and refused, the last of it.

    The newest comes last. With --json one object a line, with the thing as it was and as it is; secrets are masked.
    """
    question = {
        "tenant_id": tenant,
        "device_id": device,
        "actor": actor,
        "what": what,
        "since": None if since is None else moment_of(since),
        "until": None if until is None else moment_of(until),
    }
    with desk(config, data_dir) as at:
        rows = _last_rows(at.store.audit, last, question)
    if as_json:
        import msgspec

        from management.audit import entry_of

        for row in rows:
            print_json(msgspec.to_builtins(entry_of(row)))
        return
    lines = [
        (
            f"{row.moment:%Y-%m-%d %H:%M:%S}",
            row.what,
            row.actor or "",
            row.tenant_id or "",
            row.device_id or "",
            _detail(row),
        )
        for row in rows
    ]
    print_table(("TIME (UTC)", "WHAT", "WHO", "TENANT", "DEVICE", "DETAIL"), lines, empty="nothing is on record")


def _last_rows(audit: AuditRepository, count: int, question: dict[str, Any]) -> list[AuditRow]:
    """Oldest first."""
    rows: list[AuditRow] = []
    before: int | None = None
    while len(rows) < count:
        limit = min(PAGE_ROWS, count - len(rows))
        page = audit.read(before=before, limit=limit, newest_first=True, **question)
        rows += page
        if len(page) < limit:
            break
        before = page[-1].position
    return rows[::-1]


def _detail(row: AuditRow) -> str:
    """The refusal, what it was about, and which members changed."""
    facts = [
        f"{name}={fact}" for name, fact in row.facts.items() if name in {"operator", "attempts", "subject", "detail"}
    ]
    before, after = row.before or {}, row.after or {}
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    told = [*([row.code] if row.code else []), *facts]
    if row.before is not None and row.after is not None and changed:
        told.append(f"changed {', '.join(changed)}")
    return " ".join(told)
