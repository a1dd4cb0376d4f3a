"""Settings of the tenant room."""

from dataclasses import dataclass

from conf.setting import setting
from kernel.ids import TENANT_ID_PATTERN


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSettings:
    """What a tenant may be called, and how quickly a change elsewhere must reach this process."""

    id_pattern: str = setting(TENANT_ID_PATTERN, "regular expression a tenant id must match in full")
    change_check_s: float = setting(
        0.2, "seconds between looks for changes that other processes made", minimum=0.01, maximum=60
    )
