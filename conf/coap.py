"""Settings of the CoAP adapter."""

from dataclasses import dataclass

from conf.setting import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class CoapSettings:
    """Listeners and bounds of the CoAP adapter (`hono-coap`)."""

    enabled: bool = setting(True, "whether the adapter listens at all")
    host: str = setting("0.0.0.0", "address to listen on")  # noqa: S104
    port: int = setting(5684, "UDP port for CoAP over DTLS; 0 takes a free one", minimum=0, maximum=65_535)
    insecure_port: int | None = setting(None, "UDP port for plain CoAP; unset: none", minimum=0, maximum=65_535)
    authentication_required: bool = setting(True, "whether a device must prove who it is")
    payload_max_bytes: int = setting(2048, "largest request payload, in one message or in blocks", minimum=0)
    exchanges_per_peer_max: int = setting(
        64, "answers remembered per peer to recognise a repetition", minimum=1, maximum=4096
    )
    exchanges_max: int = setting(100_000, "answers remembered over all peers", minimum=64)
    exchange_lifetime_s: float = setting(247.0, "seconds an answer is remembered (RFC 7252 4.8.2)", minimum=1)
    ack_delay_s: float = setting(0.5, "seconds after which a request is acknowledged ahead of its answer", minimum=0)
    uploads_per_peer_max: int = setting(4, "unfinished block-wise payloads kept per peer", minimum=1, maximum=1000)
    uploads_max: int = setting(1000, "unfinished block-wise payloads kept over all peers", minimum=1)
    upload_lifetime_s: float = setting(300.0, "seconds an unfinished payload waits for its next block", minimum=1)
    waiting_per_peer_max: int = setting(
        8, "requests of one peer held until it is known which device it is", minimum=1, maximum=1000
    )
    admission_deadline_s: float = setting(
        30.0, "seconds until who waits to learn whether it may send is told to come again", minimum=1, maximum=300
    )
    admissions_max: int = setting(
        10_000, "devices waiting to be admitted at one time; a further one is told to come again", minimum=1
    )
    refusal_lifetime_s: float = setting(
        10.0, "seconds a refused peer is refused without another look at the registry", minimum=0, maximum=3600
    )
