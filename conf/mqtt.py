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
    certificate_required: bool = setting(
        False, "whether a handshake without client certificate fails; off: such a device is refused in words"
    )
    payload_max_bytes: int = setting(
        2048,
        "largest payload of a PUBLISH; 128 bytes more are allowed for its topic and properties",
        minimum=0,
        maximum=268_435_322,
    )
    connect_max_bytes: int = setting(
        8192, "largest CONNECT, with will, user name and password", minimum=128, maximum=268_435_455
    )
    connect_deadline_s: float = setting(10.0, "seconds between the handshake and CONNECT", minimum=0.5, maximum=300)
    admission_deadline_s: float = setting(
        30.0, "seconds a CONNECT may wait for its answer; then the device is told to come again", minimum=1, maximum=300
    )
    admissions_max: int = setting(
        10_000, "devices waiting to be admitted at one time; a further one is told to use another server", minimum=1
    )
    unacknowledged_max: int = setting(
        256, "messages of one connection not yet acknowledged; beyond, it is not read", minimum=1, maximum=65_535
    )
    keep_alive_max_s: int = setting(
        3600,
        "longest keep-alive of a version 5 client; a longer one, or none, is lowered to it. A 3.1.1 client cannot be "
        "told, and is held to what it asked for: to nothing, if it asked for none",
        minimum=5,
        maximum=65_535,
    )
    take_over: bool = setting(
        True, "whether a new connection of the same device and client id ends the older one; off as Eclipse Hono does"
    )
