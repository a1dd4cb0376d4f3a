"""A device as it is on the wire, and back (hono-registry 2.2).

What was not sent is not stored and not sent back; lists of ids may come as one text. `status` is the registry's own:
a body may carry it, so that what was read can be written again, and it counts for nothing.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dialects.hono.errors import BodyInvalid
from dialects.hono.shapes.connection import ConnectionView
from dialects.hono.shapes.values import CONTROL_FREE, Json, Timestamp, moment_text
from kernel.ids import ID_MAX_CHARS, DeviceId, TenantId
from registry.device_rules import AUTHORITIES_MAX, GROUPS_MAX, VIA_MAX
from registry.model import AUTHORITY_AUTO_PROVISIONING, CommandEndpoint, Device, DeviceStatus

NAME_MAX_CHARS = 256
URI_MAX_CHARS = 2048
HEADER_MAX_CHARS = 1024
HEADERS_MAX = 32

Name = Annotated[str, Meta(min_length=1, max_length=NAME_MAX_CHARS, pattern=CONTROL_FREE)]
Gateway = Annotated[str, Meta(min_length=1, max_length=ID_MAX_CHARS, pattern=CONTROL_FREE)]
Header = Annotated[str, Meta(max_length=HEADER_MAX_CHARS, pattern=CONTROL_FREE)]
# Beside a list no text can have a pattern: msgspec 0.22 writes beyond the memory it took for such a union. What the
# pattern says of a single text is looked at here.
_PATTERN = {"pattern": CONTROL_FREE}
OneGateway = Annotated[str, Meta(min_length=1, max_length=ID_MAX_CHARS, extra_json_schema=_PATTERN)]
OneName = Annotated[str, Meta(min_length=1, max_length=NAME_MAX_CHARS, extra_json_schema=_PATTERN)]
Gateways = Annotated[list[Gateway], Meta(max_length=VIA_MAX)]
Groups = Annotated[list[Name], Meta(max_length=GROUPS_MAX)]
Authorities = Annotated[
    list[Name], Meta(max_length=AUTHORITIES_MAX, description=f"Known is {AUTHORITY_AUTO_PROVISIONING!r}.")
]


class EndpointBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, rename="kebab", omit_defaults=True):
    """Where commands for a device are to be sent instead of to the device."""

    uri: Annotated[
        str, Meta(min_length=1, max_length=URI_MAX_CHARS, pattern=CONTROL_FREE, description="May hold {{deviceId}}.")
    ]
    headers: Annotated[dict[Name, Header], Meta(max_length=HEADERS_MAX)] | UnsetType = UNSET
    payload_properties: Json | UnsetType = UNSET


class DeviceMembers(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What an operator says of a device."""

    enabled: bool | UnsetType = UNSET
    defaults: Json | UnsetType = UNSET
    via: Gateways | OneGateway | UnsetType = UNSET
    via_groups: Groups | OneName | UnsetType = msgspec.field(name="viaGroups", default=UNSET)
    member_of: Groups | OneName | UnsetType = msgspec.field(name="memberOf", default=UNSET)
    authorities: Authorities | UnsetType = UNSET
    downstream_mapper: Name | UnsetType = msgspec.field(name="downstream-message-mapper", default=UNSET)
    upstream_mapper: Name | UnsetType = msgspec.field(name="upstream-message-mapper", default=UNSET)
    ext: Json | UnsetType = UNSET
    command_endpoint: EndpointBody | UnsetType = msgspec.field(name="command-endpoint", default=UNSET)


class DeviceBody(DeviceMembers, forbid_unknown_fields=True, kw_only=True):
    """A device, as it is to be."""

    status: Annotated[Any, Meta(description="Ignored: the registry's own.")] = UNSET


class StatusView(msgspec.Struct, kw_only=True):
    """What the registry knows of a device."""

    created: Timestamp
    updated: Timestamp | UnsetType = UNSET
    last_user: str | UnsetType = msgspec.field(name="last-user", default=UNSET)
    auto_provisioned: bool | UnsetType = msgspec.field(name="auto-provisioned", default=UNSET)
    notification_sent: bool | UnsetType = msgspec.field(name="auto-provisioning-notification-sent", default=UNSET)
    connection: Annotated[ConnectionView, Meta(description="Only where it was asked for.")] | UnsetType = UNSET


class DeviceView(DeviceMembers, kw_only=True):
    """A device, as it is."""

    status: StatusView


class DeviceEntry(DeviceView, kw_only=True):
    """A device that was found."""

    id: str


def device_of(body: DeviceBody, tenant_id: str, device_id: str, status: DeviceStatus) -> Device:
    """The device that the body describes."""
    return Device(
        tenant_id=TenantId(tenant_id),
        device_id=DeviceId(device_id),
        status=status,
        enabled=_said(body.enabled),
        via=tuple(DeviceId(gateway) for gateway in _several(body.via, "via")),
        via_groups=_several(body.via_groups, "viaGroups"),
        member_of=_several(body.member_of, "memberOf"),
        authorities=tuple(dict.fromkeys(_several(body.authorities, "authorities"))),
        defaults=body.defaults or {},
        ext=body.ext or {},
        downstream_mapper=_said(body.downstream_mapper),
        upstream_mapper=_said(body.upstream_mapper),
        command_endpoint=_endpoint_of(body.command_endpoint),
    )


def device_view(device: Device) -> DeviceView:
    """The device as a read shows it."""
    return DeviceView(**_members(device))


def device_entry(device: Device) -> DeviceEntry:
    """The device as a search shows it."""
    return DeviceEntry(id=device.device_id, **_members(device))


def status_view(status: DeviceStatus) -> StatusView:
    return StatusView(
        created=moment_text(status.created),
        updated=UNSET if status.updated is None else moment_text(status.updated),
        last_user=UNSET if status.last_user is None else status.last_user,
        auto_provisioned=status.auto_provisioned or UNSET,
        notification_sent=status.notification_sent or UNSET,
    )


def _members(device: Device) -> dict[str, Any]:
    endpoint = device.command_endpoint
    members: dict[str, Any] = {
        "enabled": device.enabled,
        "defaults": device.defaults or None,
        "via": device.via or None,
        "via_groups": device.via_groups or None,
        "member_of": device.member_of or None,
        "authorities": device.authorities or None,
        "downstream_mapper": device.downstream_mapper,
        "upstream_mapper": device.upstream_mapper,
        "ext": device.ext or None,
        "command_endpoint": None if endpoint is None else _endpoint_view(endpoint),
        "status": status_view(device.status),
    }
    return {name: value for name, value in members.items() if value is not None}


def _endpoint_of(body: EndpointBody | UnsetType) -> CommandEndpoint | None:
    if body is UNSET:
        return None
    return CommandEndpoint(uri=body.uri, headers=body.headers or {}, payload_properties=body.payload_properties or {})


def _endpoint_view(endpoint: CommandEndpoint) -> EndpointBody:
    return EndpointBody(
        uri=endpoint.uri or "",
        headers=dict(endpoint.headers) or UNSET,
        payload_properties=dict(endpoint.payload_properties) or UNSET,
    )


def _said(value: Any) -> Any:
    return None if value is UNSET else value


def _several(value: Sequence[str] | str | UnsetType, member: str) -> tuple[str, ...]:
    """One text is a list of one. Raises BodyInvalid."""
    if value is UNSET:
        return ()
    if isinstance(value, str):
        if not re.search(CONTROL_FREE, value):
            raise BodyInvalid(member, "must hold no control characters")
        return (value,)
    return tuple(value)
