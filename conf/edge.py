"""Settings of the edge: what every listener shares, whatever protocol it speaks."""

from dataclasses import dataclass
from pathlib import Path

from conf.setting import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings:
    """TLS and DTLS: the server's own certificate, and the bounds on strangers."""

    certificate_file: Path | None = setting(
        None, "PEM file with the server certificate and its intermediates; default DATA/tls/server.pem, made if absent"
    )
    key_file: Path | None = setting(None, "PEM file with the server's private key; default DATA/tls/server.key")
    reload_check_s: float = setting(
        5.0, "seconds between looks at the certificate files for a change", minimum=0.1, maximum=3600
    )
    handshake_deadline_s: float = setting(10.0, "seconds a peer has to finish its handshake", minimum=0.5, maximum=300)
    handshakes_max: int = setting(
        4096, "peers that may be in the handshake at one time; the oldest silent one makes room", minimum=16
    )
    connections_max: int = setting(50_000, "connections of one listener at one time", minimum=1)
    accept_backlog: int = setting(4096, "connections the kernel queues before they are accepted", minimum=16)
    chain_max_certificates: int = setting(10, "certificates a peer may present", minimum=1, maximum=100)
    chain_max_bytes: int = setting(
        102_400,
        "bytes of certificates a peer may present; OpenSSL takes no more than this",
        minimum=4096,
        maximum=102_400,
    )
    write_buffer_max_bytes: int = setting(
        1_048_576, "bytes held for a peer that does not read; beyond, it is disconnected", minimum=16_384
    )
    close_deadline_s: float = setting(
        2.0, "seconds a closing connection has to take what is held for it and to say goodbye", minimum=0.1, maximum=60
    )
    dtls_mtu_bytes: int = setting(1280, "largest datagram sent, IP and UDP headers not counted", minimum=256)
    datagram_buffer_bytes: int = setting(
        4_194_304, "bytes the kernel is asked to queue per UDP port in each direction", minimum=65_536
    )
    dtls_peers_max: int = setting(
        20_000, "DTLS associations kept at one time; the longest idle one makes room", minimum=16
    )
    dtls_idle_s: float = setting(14_400.0, "seconds of silence after which a DTLS association is dropped", minimum=10)
    tls_version_min: str = setting("1.2", "oldest TLS version accepted over TCP", choices=("1.2", "1.3"))
