"""Settings of the HTTP adapter."""

from dataclasses import dataclass

from conf.setting import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Listeners and bounds of the HTTP adapter (`hono-http`)."""

    enabled: bool = setting(True, "whether the adapter listens at all")
    host: str = setting("0.0.0.0", "address to listen on")  # noqa: S104
    port: int = setting(8443, "port for HTTP over TLS; 0 takes a free one", minimum=0, maximum=65_535)
    insecure_port: int | None = setting(None, "port for plain HTTP; unset: none", minimum=0, maximum=65_535)
    authentication_required: bool = setting(True, "whether a device must prove who it is")
    certificate_required: bool = setting(
        False, "whether a handshake without client certificate fails; off: such a device is refused in words"
    )
    payload_max_bytes: int = setting(2048, "largest request body", minimum=0)
    header_max_bytes: int = setting(8192, "bytes of request line and headers together", minimum=512)
    headers_max: int = setting(64, "header lines of one request", minimum=4)
    request_deadline_s: float = setting(
        10.0, "seconds from the first byte of a request to its last", minimum=0.5, maximum=300
    )
    idle_s: float = setting(75.0, "seconds a connection may stay without a request", minimum=1)
    admission_deadline_s: float = setting(
        30.0,
        "seconds an upload may wait for its device to be admitted; then it is answered 503",
        minimum=1,
        maximum=300,
    )
    admissions_max: int = setting(
        10_000, "devices waiting to be admitted at one time; the upload of a further one is answered 503", minimum=1
    )
    pipelined_max: int = setting(16, "requests of one connection read ahead of their answers", minimum=1, maximum=1000)
    realm: str = setting("Hono", "realm named in WWW-Authenticate")
    cors_allowed_origin: str = setting("*", "origin that browsers may call from")
