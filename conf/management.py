"""Settings of the management listener."""

from dataclasses import dataclass
from pathlib import Path

from conf.setting import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementSettings:
    """Health, metrics and, later, the registry API."""

    enabled: bool = setting(True, "whether the management listener is open")
    host: str = setting("127.0.0.1", "address to listen on")
    port: int = setting(28443, "port for HTTPS; 0 takes a free one", minimum=0, maximum=65_535)
    insecure_port: int | None = setting(None, "port for plain HTTP; unset: none", minimum=0, maximum=65_535)
    certificate_file: Path | None = setting(None, "PEM certificate; default: the edge's own")
    key_file: Path | None = setting(None, "PEM private key; default: the edge's own")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What is written to standard error."""

    level: str = setting("info", "least urgent level written", choices=("debug", "info", "warning", "error"))
    format: str = setting("auto", "auto: for people on a terminal, JSON otherwise", choices=("auto", "human", "json"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleSettings:
    """How the process ends."""

    drain_max_s: float = setting(10.0, "seconds connections have to finish after SIGTERM", minimum=0, maximum=600)
