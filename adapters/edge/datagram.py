"""A UDP port: one socket, its peers told apart by address.

    unknown ── hello ──► cookie, nothing kept ── hello with cookie ──► handshake ── done ──► association

A DTLS peer may start anew from the address of its association (it was restarted, or a NAT gave its port to
another). The association stays in service until the new handshake is done: a hello proves nothing about
who sent it, and even one with a cookie can be replayed. Until then application data goes to the association
and the rest to the handshake.
"""

import asyncio
import logging
import socket
from typing import Protocol

from adapters.edge.associations import Associations, DtlsLine, PlainLine
from adapters.edge.deadlines import Sweep
from adapters.edge.door import Door
from adapters.edge.dtls_handshakes import DtlsHandshake, DtlsHandshakes
from adapters.edge.peer import Peer
from adapters.edge.ports import DatagramHandler
from adapters.edge.records import ContentType, claims_too_much, hello_random, is_encrypted, is_record
from adapters.edge.security import Security
from adapters.edge.sockets import RawAddress, Send, address_of, datagram_socket
from adapters.edge.turns import Turns
from conf.edge import EdgeSettings
from kernel.clock import Clock

log = logging.getLogger(__name__)

_DATAGRAMS_PER_TURN = 64
_DATAGRAM_MAX_BYTES = 65_535
_APPLICATION_DATA = int(ContentType.APPLICATION_DATA)  # compared for every datagram


class Peers(Protocol):
    """Everyone behind one port."""

    def receive(self, datagram: bytes, raw: RawAddress) -> None: ...
    def expire(self, now: float) -> None: ...
    def stop_accepting(self) -> None: ...
    def close(self) -> None: ...


class PlainPeers:
    """Every address is a peer from its first datagram on."""

    def __init__(self, *, associations: Associations) -> None:
        self._associations = associations
        self._is_accepting = True

    def receive(self, datagram: bytes, raw: RawAddress) -> None:
        association = self._associations.find(raw)
        if association is None:
            if not self._is_accepting:
                return
            association = self._associations.open(peer=Peer(address=address_of(raw)), raw=raw, line=PlainLine())
        self._associations.receive(association, datagram)

    def expire(self, now: float) -> None:
        self._associations.expire(now)

    def stop_accepting(self) -> None:
        self._is_accepting = False

    def close(self) -> None:
        self._associations.close()


class DtlsPeers:
    """Gives each datagram to whom it is for; what nobody expects is dropped in silence."""

    def __init__(
        self,
        *,
        clock: Clock,
        turns: Turns,
        settings: EdgeSettings,
        security: Security,
        send: Send,
        associations: Associations,
    ) -> None:
        self._door = Door(security=security, mtu_bytes=settings.dtls_mtu_bytes, send=send)
        self._handshakes = DtlsHandshakes(
            clock=clock, turns=turns, settings=settings, security=security, send=send, established=self._established
        )
        self._associations = associations
        self._is_accepting = True

    @property
    def handshakes(self) -> int:
        return len(self._handshakes)

    def receive(self, datagram: bytes, raw: RawAddress) -> None:
        if not is_record(datagram):
            return
        association = self._associations.find(raw)
        if association is not None and datagram[0] == _APPLICATION_DATA:
            self._associations.receive(association, datagram)
            return
        random = hello_random(datagram)
        handshake = self._handshakes.find(raw)
        if random is not None and (handshake is None or handshake.random != random):
            if association is None or association.tag != random:  # else: a late copy of the hello that led to it
                self._knock(datagram, raw, random)
        elif handshake is not None and not (association is not None and _is_protected_alert(datagram)):
            self._handshakes.deliver(handshake, datagram)
        elif association is not None and random is None:
            self._associations.receive(association, datagram)

    def expire(self, now: float) -> None:
        self._handshakes.expire(now)
        self._associations.expire(now)

    def stop_accepting(self) -> None:
        self._is_accepting = False

    def close(self) -> None:
        self._handshakes.close()
        self._associations.close()

    def _knock(self, hello: bytes, raw: RawAddress, random: bytes) -> None:
        if self._is_accepting and not claims_too_much(hello):  # other records may follow it in the datagram
            connection = self._door.knock(hello, raw)
            if connection is not None:
                self._handshakes.begin(connection, raw, random)

    def _established(self, handshake: DtlsHandshake, peer: Peer) -> None:
        line = DtlsLine(connection=handshake.connection)
        association = self._associations.open(peer=peer, raw=handshake.raw, line=line, tag=handshake.random)
        for datagram in handshake.inbox:
            self._associations.receive(association, datagram)


class DatagramListener:
    """One UDP port. Without `security` it is plain. `start` once, `close` once; `close` may follow any state."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        settings: EdgeSettings,
        clock: Clock,
        turns: Turns,
        handler: DatagramHandler,
        security: Security | None = None,
        reuse_port: bool = False,
    ) -> None:
        self._host = host
        self._asked_port = port
        self._settings = settings
        self._reuse_port = reuse_port
        self._socket: socket.socket | None = None
        self._associations = Associations(
            clock=clock,
            handler=handler,
            send=self._send,
            mtu_bytes=settings.dtls_mtu_bytes,
            peers_max=settings.dtls_peers_max,
            idle_s=settings.dtls_idle_s,
        )
        self._dtls: DtlsPeers | None = None
        if security is not None:
            self._dtls = DtlsPeers(
                clock=clock,
                turns=turns,
                settings=settings,
                security=security,
                send=self._send,
                associations=self._associations,
            )
        self._peers: Peers = self._dtls or PlainPeers(associations=self._associations)
        self._sweep = Sweep(clock=clock, checks=(self._peers.expire,))

    async def start(self) -> None:
        """Bind and receive. Raises OSError where the address cannot be had."""
        self._socket = await datagram_socket(
            self._host,
            self._asked_port,
            reuse_port=self._reuse_port,
            buffer_bytes=self._settings.datagram_buffer_bytes,
        )
        self._sweep.start()
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._on_readable)

    @property
    def port(self) -> int:
        """The port really bound."""
        if self._socket is None:
            raise RuntimeError("the listener is not started")
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """Associations now."""
        return len(self._associations)

    @property
    def handshakes(self) -> int:
        """Peers in their handshake now."""
        return 0 if self._dtls is None else self._dtls.handshakes

    def stop_accepting(self) -> None:
        """Take no new peers in. Handshakes under way and associations go on. Safe to repeat."""
        self._peers.stop_accepting()

    async def close(self) -> None:
        """Say goodbye to everyone and close the socket. Safe to repeat."""
        if self._socket is None:
            return
        self.stop_accepting()
        self._peers.close()
        self._sweep.stop()
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        self._socket = None

    def _on_readable(self) -> None:
        for _ in range(_DATAGRAMS_PER_TURN):
            if self._socket is None:
                return
            try:
                datagram, raw = self._socket.recvfrom(_DATAGRAM_MAX_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP answer to something we sent; it is not about this socket
            try:
                self._peers.receive(datagram, raw)
            except Exception:
                log.exception("datagram.defective")

    def _send(self, datagram: bytes, raw: RawAddress) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(datagram, raw)
        except OSError:
            log.debug("datagram.dropped")  # a full buffer or an unreachable peer: UDP promises nothing


def _is_protected_alert(record: bytes) -> bool:
    return record[0] == ContentType.ALERT and is_encrypted(record)
