"""Settings of the MQTT adapter."""

from dataclasses import dataclass

from conf.setting import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSettings:
    """Listeners, bounds and habits of the MQTT adapter (`hono-mqtt`)."""

    enabled: bool = setting(True, "whether the adapter listens at all")
    host: str = setting("0.0.0.0", "address to listen on")  # noqa: S104
    port: int = setting(8883, "port for MQTT over TLS; 0 takes a free one", minimum=0, maximum=65_535)
    insecure_port: int | None = setting(None, "port for plain MQTT; unset: none", minimum=0, maximum=65_535)
    authentication_required: bool = setting(True, "whether a device must prove who it is")
    payload_max_bytes: int = setting(2048, "largest payload of a PUBLISH", minimum=0, maximum=268_435_455)
    connect_deadline_s: float = setting(10.0, "seconds between the handshake and CONNECT", minimum=0.5, maximum=300)
    unacknowledged_max: int = setting(
        256, "QoS 1 messages of one connection not yet acknowledged; beyond, it is not read", minimum=1, maximum=65_535
    )
    keep_alive_max_s: int = setting(
        3600, "longest keep-alive; a longer one, or none, is lowered to it", minimum=5, maximum=65_535
    )
    take_over: bool = setting(
        True, "whether a new connection of the same device and client id ends the older one; off as Eclipse Hono does"
    )
