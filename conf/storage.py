"""Settings of the database."""

from dataclasses import dataclass

from conf.setting import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """Where the registry keeps what it knows."""

    database: str = setting("sqlite", "registry database: sqlite (in the data directory)", choices=("sqlite",))
    busy_timeout_s: float = setting(
        10.0, "seconds a writer waits for another process's write", minimum=0.1, maximum=600
    )
    read_timeout_s: float = setting(
        0.25, "seconds a connecting device's lookup waits for a database that recovers", minimum=0, maximum=10
    )
    provisioning_group_max: int = setting(256, "devices provisioned in one transaction", minimum=1, maximum=10_000)
    provisioning_pending_max: int = setting(20_000, "devices waiting to be provisioned", minimum=1)
    audit_pending_max: int = setting(10_000, "audit rows waiting to be written; further ones are counted", minimum=1)
    change_rows_max: int = setting(
        10_000, "changes kept for other processes to follow; one further behind reads everything again", minimum=100
    )
