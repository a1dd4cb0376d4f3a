"""What a tenant may use, on the wire (hono-registry 2.1.3, 2.1.4). A limit of -1 is none, and is left out of reads."""

from datetime import datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dialects.hono.shapes.values import BodyInvalid, Json, Timestamp, moment_of, moment_text
from tenant import model
from tenant.rules import BYTES_MAX, NUMBER_MAX

Value = TypeVar("Value")
Default = TypeVar("Default")

NO_LIMIT = -1

Count = Annotated[int, Meta(ge=NO_LIMIT, le=NUMBER_MAX, description="-1 is no limit, as is leaving it out.")]
Amount = Annotated[int, Meta(ge=NO_LIMIT, le=BYTES_MAX, description="-1 is no limit, as is leaving it out.")]
Seconds = Annotated[int, Meta(ge=NO_LIMIT, le=BYTES_MAX, description="Seconds; -1 is no limit, as is leaving it out.")]


class Period(msgspec.Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True):
    """The window a budget is counted in."""

    mode: Annotated[
        Literal["monthly", "days", "unknown"],
        Meta(description="`monthly`: calendar months, UTC; `days`: windows of so many days; `unknown`: not enforced."),
    ]
    no_of_days: (
        Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="Of one window; needed for `days`, and then at least 1.")]
        | UnsetType
    ) = UNSET


class DataVolume(msgspec.Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True):
    """How many bytes a tenant may move in a period."""

    effective_since: Timestamp
    max_bytes: Amount | UnsetType = UNSET
    period: Period | UnsetType = UNSET


class ConnectionDuration(msgspec.Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True):
    """How long a tenant's devices may be connected, together, in a period."""

    effective_since: Timestamp
    max_minutes: Amount | UnsetType = UNSET
    period: Period | UnsetType = UNSET


class ResourceLimits(msgspec.Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True):
    """Ceilings for what a tenant's devices may use."""

    max_connections: Count | UnsetType = UNSET
    max_ttl: Seconds | UnsetType = UNSET
    max_ttl_telemetry_qos0: Seconds | UnsetType = UNSET
    max_ttl_telemetry_qos1: Seconds | UnsetType = UNSET
    max_ttl_command_response: Seconds | UnsetType = UNSET
    data_volume: DataVolume | UnsetType = UNSET
    connection_duration: ConnectionDuration | UnsetType = UNSET
    ext: Json | UnsetType = UNSET


class RegistrationLimits(msgspec.Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True):
    """How much a tenant may register."""

    max_devices: Count = NO_LIMIT
    max_credentials_per_device: Count = NO_LIMIT


def said(value: Value | UnsetType, default: Default) -> Value | Default:
    """What was sent, or the default."""
    return default if isinstance(value, UnsetType) else value


def unless(value: Value, default: object) -> Value | UnsetType:
    """What a read shows of it: nothing of a default."""
    return UNSET if value == default else value


def resource_limits_of(wire: ResourceLimits) -> model.ResourceLimits:
    """Raises BodyInvalid."""
    volume, duration = wire.data_volume, wire.connection_duration
    return model.ResourceLimits(
        max_connections=said(wire.max_connections, NO_LIMIT),
        max_ttl_s=said(wire.max_ttl, NO_LIMIT),
        max_ttl_telemetry_qos0_s=said(wire.max_ttl_telemetry_qos0, NO_LIMIT),
        max_ttl_telemetry_qos1_s=said(wire.max_ttl_telemetry_qos1, NO_LIMIT),
        max_ttl_command_response_s=said(wire.max_ttl_command_response, NO_LIMIT),
        data_volume=None
        if isinstance(volume, UnsetType)
        else model.DataVolume(
            effective_since=_since(volume.effective_since, "data-volume"),
            max_bytes=said(volume.max_bytes, NO_LIMIT),
            period=_period_of(volume.period),
        ),
        connection_duration=None
        if isinstance(duration, UnsetType)
        else model.ConnectionDuration(
            effective_since=_since(duration.effective_since, "connection-duration"),
            max_minutes=said(duration.max_minutes, NO_LIMIT),
            period=_period_of(duration.period),
        ),
        ext=said(wire.ext, {}),
    )


def resource_limits_shown(limits: model.ResourceLimits) -> ResourceLimits:
    volume, duration = limits.data_volume, limits.connection_duration
    return ResourceLimits(
        max_connections=unless(limits.max_connections, NO_LIMIT),
        max_ttl=unless(limits.max_ttl_s, NO_LIMIT),
        max_ttl_telemetry_qos0=unless(limits.max_ttl_telemetry_qos0_s, NO_LIMIT),
        max_ttl_telemetry_qos1=unless(limits.max_ttl_telemetry_qos1_s, NO_LIMIT),
        max_ttl_command_response=unless(limits.max_ttl_command_response_s, NO_LIMIT),
        data_volume=UNSET
        if volume is None
        else DataVolume(
            effective_since=moment_text(volume.effective_since),
            max_bytes=unless(volume.max_bytes, NO_LIMIT),
            period=_period_shown(volume.period),
        ),
        connection_duration=UNSET
        if duration is None
        else ConnectionDuration(
            effective_since=moment_text(duration.effective_since),
            max_minutes=unless(duration.max_minutes, NO_LIMIT),
            period=_period_shown(duration.period),
        ),
        ext=dict(limits.ext) or UNSET,
    )


def _since(text: str, member: str) -> datetime:
    moment = moment_of(text, f"{member}.effective-since")
    if moment is None:
        raise BodyInvalid(f"{member}.effective-since", "is required")
    return moment


def _period_of(wire: Period | UnsetType) -> model.Period | None:
    if isinstance(wire, UnsetType):
        return None
    return model.Period(mode=wire.mode, no_of_days=said(wire.no_of_days, None))


def _period_shown(period: model.Period | None) -> Period | UnsetType:
    if period is None:
        return UNSET
    days = UNSET if period.no_of_days is None else period.no_of_days
    return msgspec.convert({"mode": period.mode} | ({} if days is UNSET else {"no-of-days": days}), type=Period)
