"""A device and its credentials in one call, and whole tenants in and out, line by line. Beyond Hono.

Lines are JSON objects, one a device (application/x-ndjson). An import does line after line: one that cannot be done is
told with its number, and the others are done all the same.
"""

from collections.abc import Sequence
from typing import Annotated, Literal
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dialects.hono.asked import Asked
from dialects.hono.conventions import CREATED, created, deed_of, require_body
from dialects.hono.errors import BodyInvalid, SecretsWithheld
from dialects.hono.shapes.device import device_of
from dialects.hono.shapes.registration import (
    RegistrationBody,
    RegistrationView,
    TenantRecord,
    registration_in,
    registration_view,
    tenant_document,
)
from dialects.hono.shapes.values import parse_json
from kernel.clock import Clock
from kernel.errors import Conflict, Refused
from kernel.exchange import Answer, Exchange, Need, Parameter, Reply, Route
from kernel.ids import generate_id
from registry.administration import CredentialAdministration, DeviceAdministration
from registry.credentials import CredentialUpdate
from registry.device_rules import require_valid
from registry.model import Device, DeviceStatus
from tenant.administration import TenantAdministration
from tenant.audit import Deed

NDJSON = "application/x-ndjson"
IMPORT_MAX_BYTES = 4 * 1024 * 1024
IMPORT_LINES_MAX = 500
LINE_MAX_BYTES = 1024 * 1024
IMPORT_PASSWORDS_MAX = 500  # plain ones: each is hashed, which takes tens of milliseconds
FAILURES_TOLD_MAX = 100
EXPORT_DEVICES_DEFAULT = 500
EXPORT_DEVICES_MAX = 1000
EXPORT_MAX_BYTES = 8 * 1024 * 1024  # no device begins behind them
EXPORT_READ_DEVICES = 100  # at one time
NEXT = "Next-After"
_TAG = "beyond Hono"
_EXISTING = ("fail", "skip", "replace")
_EXPORT = (
    Parameter(name="after", type=str, says="only devices behind this id"),
    Parameter(
        name="limit",
        type=Annotated[int, Meta(ge=1, le=EXPORT_DEVICES_MAX)],
        says=f"how many devices at most; {EXPORT_DEVICES_DEFAULT} unless given",
    ),
    Parameter(
        name="secrets",
        type=Literal["false", "true"],
        says="true: with hashes of passwords and pre-shared keys, for administrators alone",
    ),
)
_IMPORT = (
    Parameter(
        name="existing",
        type=Literal["fail", "skip", "replace"],
        says="what becomes of a line whose device is there already; fail unless given",
    ),
)


class Failure(msgspec.Struct, kw_only=True):
    """A line that was not done, and why."""

    line: int
    error: str
    code: str
    id: str | UnsetType = UNSET


class ImportOutcome(msgspec.Struct, kw_only=True):
    """What became of the lines."""

    created: int = 0
    replaced: int = 0
    skipped: int = 0
    failed: int = 0
    failures: Annotated[list[Failure], Meta(description=f"The first {FAILURES_TOLD_MAX} of the lines that failed.")] = (
        msgspec.field(default_factory=list)
    )


class RegistrationRoutes:
    """Registers devices with their credentials, one or many; reads them all."""

    def __init__(
        self,
        *,
        tenants: TenantAdministration,
        devices: DeviceAdministration,
        credentials: CredentialAdministration,
        clock: Clock,
    ) -> None:
        self._tenants = tenants
        self._devices = devices
        self._credentials = credentials
        self._clock = clock

    def routes(self) -> Sequence[Route]:
        return (
            Route(
                method="POST",
                path="/tuhono/v1/registrations/{tenantId}",
                handler=self.create,
                need=Need.WRITE,
                tag=_TAG,
                summary="Create a device together with its credentials",
                says="Both or nothing.",
                tenant_in="tenantId",
                body=RegistrationBody,
                body_required=True,
                answers={201: CREATED},
                refusals=(409, 413),
            ),
            Route(
                method="GET",
                path="/tuhono/v1/export/{tenantId}",
                handler=self.export,
                need=Need.READ,
                tag=_TAG,
                summary="Read devices with their credentials, one JSON object a line",
                says=f"In the order of ids, fewer than `limit` where they are large. Where there may be more, {NEXT}"
                " tells the `after` of the next call, percent-encoded.",
                tenant_in="tenantId",
                parameters=_EXPORT,
                answers={
                    200: Answer(
                        says="Devices, one a line.", type=RegistrationView, headers=(NEXT,), content_type=NDJSON
                    )
                },
            ),
            Route(
                method="GET",
                path="/tuhono/v1/export/{tenantId}/tenant",
                handler=self.export_tenant,
                need=Need.READ,
                tag=_TAG,
                summary="Read a tenant whole, with the certificates of its trust anchors",
                tenant_in="tenantId",
                answers={200: Answer(says="The tenant.", type=TenantRecord)},
            ),
            Route(
                method="POST",
                path="/tuhono/v1/import/{tenantId}",
                handler=self.import_,
                need=Need.WRITE,
                tag=_TAG,
                summary="Create devices with their credentials, one JSON object a line",
                says=f"At most {IMPORT_LINES_MAX} lines, {IMPORT_MAX_BYTES // 1024 // 1024} MiB and"
                f" {IMPORT_PASSWORDS_MAX} times `pwd-plain` a call.",
                tenant_in="tenantId",
                parameters=_IMPORT,
                body=RegistrationBody,
                body_required=True,
                body_content_type=NDJSON,
                body_max_bytes=IMPORT_MAX_BYTES,
                answers={200: Answer(says="What became of the lines.", type=ImportOutcome)},
                refusals=(413,),
            ),
        )

    def create(self, exchange: Exchange) -> Reply:
        body, updates = registration_in(parse_json(require_body(exchange)))
        device = self._create(exchange.path["tenantId"], body, updates, deed_of(exchange, self._clock))
        return created("devices", device.tenant_id, device.device_id, version=device.version)

    def export(self, exchange: Exchange) -> Reply:
        asked = Asked(exchange, _EXPORT)
        limit = asked.whole("limit", default=EXPORT_DEVICES_DEFAULT, most=EXPORT_DEVICES_MAX)
        with_secrets = asked.choice("secrets", ("false", "true")) == "true"
        if with_secrets and (exchange.caller is None or exchange.caller.allowed < Need.ADMINISTER):
            raise SecretsWithheld("secrets are exported for administrators alone")
        lines = bytearray()
        after, left, more = asked.text("after"), limit, True
        while more and left and len(lines) < EXPORT_MAX_BYTES:
            wanted = min(left, EXPORT_READ_DEVICES)
            devices = self._devices.page(exchange.path["tenantId"], after=after, limit=wanted)
            more = len(devices) == wanted
            for device in devices:
                held = self._credentials.held_by(device, with_secrets=with_secrets)
                lines += msgspec.json.encode(registration_view(device, held)) + b"\n"
                after, left = device.device_id, left - 1
                if len(lines) >= EXPORT_MAX_BYTES:
                    more = True
                    break
        headers = {NEXT: quote(after, safe="-._~:=")} if more and after is not None else {}
        return Reply(body=bytes(lines), headers=headers, content_type=NDJSON)

    def export_tenant(self, exchange: Exchange) -> Reply:
        tenant = self._tenants.get(exchange.path["tenantId"])
        return Reply(body={"id": tenant.tenant_id, "tenant": tenant_document(tenant)})

    def import_(self, exchange: Exchange) -> Reply:
        tenant_id, deed = exchange.path["tenantId"], deed_of(exchange, self._clock)
        existing = Asked(exchange, _IMPORT).choice("existing", _EXISTING)
        lines = [(number, line) for number, line in enumerate(exchange.body.split(b"\n"), 1) if line.strip()]
        if len(lines) > IMPORT_LINES_MAX:
            raise BodyInvalid("", f"holds more than {IMPORT_LINES_MAX} lines")
        self._devices.require_tenant(tenant_id)
        outcome, passwords_left = ImportOutcome(), IMPORT_PASSWORDS_MAX
        for number, line in lines:
            device_id: str | UnsetType = UNSET
            try:
                if len(line) > LINE_MAX_BYTES:
                    raise BodyInvalid("", f"is longer than {LINE_MAX_BYTES} bytes")
                body, updates = registration_in(parse_json(line))
                device_id = body.id
                plain = sum(secret.password is not None for update in updates for secret in update.secrets)
                if plain > passwords_left:
                    raise BodyInvalid("credentials", f"more than {IMPORT_PASSWORDS_MAX} times pwd-plain in one call")
                passwords_left -= plain
                self._import(tenant_id, body, updates, deed, existing, outcome)
            except Refused as refusal:
                outcome.failed += 1
                if len(outcome.failures) < FAILURES_TOLD_MAX:
                    told = Failure(line=number, id=device_id, error=str(refusal), code=refusal.code)
                    outcome.failures.append(told)
        return Reply(body=outcome)

    def _import(
        self,
        tenant_id: str,
        body: RegistrationBody,
        updates: Sequence[CredentialUpdate],
        deed: Deed,
        existing: str,
        outcome: ImportOutcome,
    ) -> None:
        if body.id is UNSET:
            raise BodyInvalid("id", "is required")
        if existing == "fail" or not self._devices.has(tenant_id, body.id):
            try:
                self._create(tenant_id, body, updates, deed)
                outcome.created += 1
                return
            except Conflict:
                if existing == "fail" or not self._devices.has(tenant_id, body.id):
                    raise
        if existing == "skip":
            outcome.skipped += 1
            return
        made = device_of(body.device, tenant_id, body.id, DeviceStatus(created=deed.moment))
        require_valid(made)  # before anything is written
        self._credentials.replace(tenant_id, body.id, updates, deed)
        self._devices.replace(made, deed)
        outcome.replaced += 1

    def _create(
        self, tenant_id: str, body: RegistrationBody, updates: Sequence[CredentialUpdate], deed: Deed
    ) -> Device:
        device_id = generate_id() if body.id is UNSET else body.id
        wished = device_of(body.device, tenant_id, device_id, DeviceStatus(created=deed.moment))
        credentials = self._credentials.made(tenant_id, device_id, updates, deed)
        return self._devices.create(wished, deed, credentials=credentials)
