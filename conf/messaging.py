"""Settings of the message engine."""

from dataclasses import dataclass

from conf.setting import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagingSettings:
    """Which engine keeps the messages, and the bounds of the embedded log."""

    northbound: str = setting("embedded", "message engine: embedded (a durable log)", choices=("embedded",))
    pending_max_messages: int = setting(20_000, "messages waiting to be kept; beyond, devices are told 503", minimum=1)
    pending_max_bytes: int = setting(67_108_864, "payload bytes waiting to be kept", minimum=65_536)
    group_wait_max_ms: float = setting(
        2.0, "milliseconds a commit waits for company under load", minimum=0, maximum=1000
    )
    busy_timeout_s: float = setting(10.0, "seconds a commit waits for another process's commit", minimum=0.1)
    retention_max_age_s: float = setting(604_800.0, "seconds a message is kept; 0 keeps it for ever", minimum=0)
    retention_max_bytes: int = setting(
        10_737_418_240, "bytes of the log's file; the oldest messages make room", minimum=1_048_576
    )
    retention_interval_s: float = setting(10.0, "seconds between two looks for messages too old", minimum=0.01)
    defaults_enabled: bool = setting(True, "whether default properties of tenant and device are added to messages")
