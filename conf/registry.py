"""Settings of the registry room."""

from dataclasses import dataclass

from conf.setting import setting
from kernel.ids import DEVICE_ID_PATTERN

AUTH_ID_PATTERN = r"[a-zA-Z0-9\-_=.]+"  # hono-registry 1.1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """What devices and credentials may be, how passwords are kept, and the bounds on provisioning."""

    device_id_pattern: str = setting(DEVICE_ID_PATTERN, "regular expression a device id must match in full")
    auth_id_pattern: str = setting(
        AUTH_ID_PATTERN, "regular expression the auth-id of a hashed-password credential must match in full"
    )
    password_hash: str = setting(
        "bcrypt",
        "what plain passwords are hashed with before they are kept; bcrypt takes at most 72 bytes of password",
        choices=("bcrypt", "argon2id"),
    )
    bcrypt_cost_max: int = setting(
        10,
        "highest cost of a bcrypt hash, and the cost of those made here; each step doubles the time",
        minimum=4,
        maximum=16,
    )
    hash_functions: str = setting(
        "bcrypt,sha-256,sha-512,argon2id",
        "hash functions, with commas between them, whose hashes may be put on record; empty is any name",
    )
    password_threads: int = setting(
        4, "threads that check passwords of devices; each check takes tens of milliseconds", minimum=1, maximum=64
    )
    password_checks_max: int = setting(
        1000,
        "passwords waiting to be checked at one time; the device of a further one is told to come again",
        minimum=1,
    )
    password_failures_max: int = setting(
        10, "wrong passwords in a row for one credential; then they are looked at only as fast as below", minimum=1
    )
    password_failures_per_minute: float = setting(
        6.0, "wrong passwords for one credential looked at per minute in the long run", minimum=0.01
    )
    devices_per_tenant_max: int = setting(
        -1, "devices a tenant may have unless its registration-limits say otherwise; 0 or -1 is no limit", minimum=-1
    )
    provisioning_per_s_max: float = setting(
        1000.0, "devices one trust anchor may provision per second in the long run; 0 is no limit", minimum=0
    )
    provisioning_burst_max: int = setting(5000, "devices one trust anchor may provision at once", minimum=1)
    notification_retry_s: float = setting(
        5.0, "seconds before a provisioning event that was not kept is sent again", minimum=0.05
    )
    audit_rows_max: int = setting(
        100_000,
        "rows of the audit kept of refusals, about as many of what devices caused, and of what operators did",
        minimum=100,
    )
    audit_days_max: int = setting(
        365, "days a row of the audit is kept, if so many fit; 0 is no limit", minimum=0, maximum=36_500
    )
