"""GET /tuhono/v1/audit: who changed what, when and from where, and what was refused.

A caller reads the rows of the tenants it reaches; rows of no tenant, as those about operators, only whoever reaches
all. A cursor names a place among the rows, so that a page goes on where the one before ended whatever is added
meanwhile.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dialects.hono.asked import Asked
from dialects.hono.errors import QueryInvalid
from dialects.hono.shapes.values import Timestamp
from kernel.exchange import Answer, Exchange, Need, Parameter, Reply, Route
from kernel.ids import DeviceId, TenantId
from management.querying import PAGE_SIZE, page_size
from registry.ports import AuditRepository
from tenant.audit import AuditRow, instant

ORDERS = ("newest", "oldest")
PARAMETERS = (
    Parameter(name="tenant", type=str, says="Only what was done in this tenant."),
    Parameter(name="device", type=str, says="Only what was done to devices of this id."),
    Parameter(name="actor", type=str, says="Only what this operator did."),
    Parameter(
        name="what", type=str, says="Only rows of this kind; with a dot at its end, of every kind that begins so."
    ),
    Parameter(name="since", type=Timestamp, says="Only rows from this moment on."),
    Parameter(name="until", type=Timestamp, says="Only rows before this moment."),
    Parameter(name="order", type=Annotated[str, Meta(pattern="^(newest|oldest)$")], says="Which come first; newest."),
    Parameter(name="cursor", type=str, says="`next` of the page before, with everything else as it was there."),
    PAGE_SIZE,
)
_PLACE = re.compile(rb"([no])([0-9]{1,18})")


class AuditEntry(msgspec.Struct, kw_only=True):
    """One thing that was done or refused. Secrets are masked: `masked`, or `changed` where another one was set."""

    id: int  # ascending in the order of writing
    time: Timestamp
    what: Annotated[str, Meta(examples=["device.updated"])]
    tenant: str | UnsetType = UNSET
    device: str | UnsetType = UNSET
    actor: str | UnsetType = UNSET  # absent: nobody's wish, as a device's first connection
    remote: str | UnsetType = UNSET  # absent: on the machine itself, or nobody
    code: str | UnsetType = UNSET  # of a refusal
    facts: dict[str, str] | UnsetType = UNSET
    before: dict[str, Any] | UnsetType = UNSET
    after: dict[str, Any] | UnsetType = UNSET


class AuditPage(msgspec.Struct, kw_only=True):
    """`next` is the cursor of the following page; absent: there is none yet."""

    result: list[AuditEntry]
    next: str | UnsetType = UNSET


class AuditRoutes:
    """One route."""

    def __init__(self, audit: AuditRepository) -> None:
        self._audit = audit

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                method="GET",
                path="/tuhono/v1/audit",
                handler=self._read,
                need=Need.READ,
                tag="audit",
                summary="Read the audit",
                answers={200: Answer(says="A page of rows; an empty one where there are none.", type=AuditPage)},
                parameters=PARAMETERS,
            )
        ]

    def _read(self, exchange: Exchange) -> Reply:
        assert exchange.caller is not None
        asked = Asked(exchange, PARAMETERS)
        newest_first = asked.choice("order", ORDERS) == "newest"
        place = _place_of(asked.text("cursor"), newest_first=newest_first)
        size = page_size(asked)
        tenant, device = asked.text("tenant"), asked.text("device")
        rows = self._audit.read(
            after=0 if newest_first or place is None else place,
            before=place if newest_first else None,
            limit=size + 1,
            newest_first=newest_first,
            tenant_id=None if tenant is None else TenantId(tenant),
            device_id=None if device is None else DeviceId(device),
            actor=asked.text("actor"),
            what=asked.text("what"),
            since=asked.moment("since"),
            until=asked.moment("until"),
            tenants=exchange.caller.tenants,
        )
        following = _cursor(rows[size - 1].position, newest_first=newest_first) if len(rows) > size else UNSET
        return Reply(body=AuditPage(result=[entry_of(row) for row in rows[:size]], next=following))


def entry_of(row: AuditRow) -> AuditEntry:
    return AuditEntry(
        id=row.position,
        time=instant(row.moment),
        what=row.what,
        tenant=row.tenant_id or UNSET,
        device=row.device_id or UNSET,
        actor=row.actor or UNSET,
        remote=row.remote or UNSET,
        code=row.code or UNSET,
        facts=dict(row.facts) or UNSET,
        before=UNSET if row.before is None else dict(row.before),
        after=UNSET if row.after is None else dict(row.after),
    )


def _cursor(position: int, *, newest_first: bool) -> str:
    place = f"{'n' if newest_first else 'o'}{position}"
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _place_of(cursor: str | None, *, newest_first: bool) -> int | None:
    """Raises QueryInvalid."""
    if cursor is None:
        return None
    try:
        found = _PLACE.fullmatch(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        found = None
    if found is None or (found[1] == b"n") is not newest_first:
        raise QueryInvalid("cursor: is no `next` of a page in this order")
    return int(found[2])
