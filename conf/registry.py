"""Settings of the registry room."""

from dataclasses import dataclass

from conf.setting import setting
from kernel.ids import DEVICE_ID_PATTERN


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """What a device may be called, and the bounds on provisioning."""

    device_id_pattern: str = setting(DEVICE_ID_PATTERN, "regular expression a device id must match in full")
    devices_per_tenant_max: int = setting(
        -1, "devices a tenant may have unless its registration-limits say otherwise; -1 is no limit", minimum=-1
    )
    provisioning_per_s_max: float = setting(
        1000.0, "devices one trust anchor may provision per second in the long run; 0 is no limit", minimum=0
    )
    provisioning_burst_max: int = setting(5000, "devices one trust anchor may provision at once", minimum=1)
    notification_retry_s: float = setting(
        5.0, "seconds before a provisioning event that was not kept is sent again", minimum=0.05
    )
    audit_rows_max: int = setting(
        100_000, "refusals kept in the audit, and about as many other rows; the oldest go first", minimum=100
    )
