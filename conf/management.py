"""Settings of the management listener."""

from dataclasses import dataclass
from pathlib import Path

from conf.setting import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementSettings:
    """Health, metrics, and the registry API that operators and their programs use."""

    enabled: bool = setting(True, "whether the management listener is open")
    host: str = setting("127.0.0.1", "address to listen on")
    port: int = setting(28443, "port for HTTPS; 0 takes a free one", minimum=0, maximum=65_535)
    insecure_port: int | None = setting(None, "port for plain HTTP; unset: none", minimum=0, maximum=65_535)
    certificate_file: Path | None = setting(None, "PEM certificate; default: the edge's own")
    key_file: Path | None = setting(None, "PEM private key; default: the edge's own")
    insecure_api: bool = setting(
        False, "whether the registry API is on insecure_port too, where anybody on the way reads passwords and keys"
    )
    metrics_open_to: str = setting(
        "loopback",
        "who reads metrics without proving who they are: this machine's own programs, everyone or nobody; "
        "others need an operator's credentials",
        choices=("loopback", "everyone", "nobody"),
    )
    realm: str = setting("Hono", "realm named where credentials are missing or wrong")
    cors_allowed_origin: str = setting("*", "origin whose pages may use the registry API; *: any")
    body_max_bytes: int = setting(16_384, "longest request body", minimum=129, maximum=16_777_216)
    connections_max: int = setting(256, "connections open at one time", minimum=8, maximum=65_536)
    threads_max: int = setting(8, "requests handled at one time; 256 more may wait", minimum=1, maximum=256)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What is written to standard error."""

    level: str = setting("info", "least urgent level written", choices=("debug", "info", "warning", "error"))
    format: str = setting("auto", "auto: for people on a terminal, JSON otherwise", choices=("auto", "human", "json"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleSettings:
    """How the process ends."""

    drain_max_s: float = setting(10.0, "seconds connections have to finish after SIGTERM", minimum=0, maximum=600)
