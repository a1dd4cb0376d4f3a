"""What the edge gives to a protocol's shell and expects of it. The same for TLS and for plain TCP."""

from collections.abc import Callable
from typing import Protocol

from adapters.edge.peer import Address, FoundKey, Peer
from tenant.trust import TrustVerdict

# Judges a presented chain (DER, leaf first) with the SNI host, inside the handshake. Must not raise.
Judge = Callable[[list[bytes], str | None, Address], TrustVerdict]


# Finds the pre-shared key of an identity inside the handshake; None: nobody's. Must not raise.
KeyFinder = Callable[[str, Address], FoundKey | None]


class Stream(Protocol):
    """An established connection, TLS or plain. Used on the event loop only."""

    peer: Peer

    def write(self, data: bytes) -> None:
        """Send, or hold until the peer reads. Beyond `write_buffer_max_bytes` the connection is aborted."""
        ...

    def close(self) -> None:
        """Send what is held, say goodbye (close_notify), close. Bounded in time. Safe to repeat."""
        ...

    def abort(self) -> None:
        """Close now; what is held is lost."""
        ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    @property
    def is_closing(self) -> bool: ...


class StreamHandler(Protocol):
    """A protocol's shell: one per connection, made once the handshake is done."""

    def connected(self, stream: Stream) -> None: ...

    def received(self, data: bytes) -> None:
        """Some plain bytes, in order, at least one."""
        ...

    def ended(self) -> bool:
        """The peer will send no more; it may still read. True: the handler has more to say and will close the
        stream itself, within a time of its own. False: the stream closes when this returns."""
        ...

    def lost(self, fault: Exception | None) -> None:
        """The connection is gone; called exactly once after `connected`."""
        ...


class Association(Protocol):
    """A datagram peer: a DTLS association, or an address on a plain listener. Used on the loop only."""

    peer: Peer

    def send(self, datagram: bytes) -> None:
        """Send one datagram, or drop it where the socket will not take it: UDP promises nothing."""
        ...

    def close(self) -> None:
        """Say goodbye (close_notify) and forget the peer. Safe to repeat."""
        ...


class DatagramHandler(Protocol):
    """A datagram protocol's shell: one for all peers of a listener."""

    def opened(self, association: Association) -> None: ...

    def received(self, association: Association, datagram: bytes) -> None: ...

    def closed(self, association: Association) -> None:
        """Called exactly once after `opened`."""
        ...


class StreamHandlerFactory(Protocol):
    def __call__(self) -> StreamHandler: ...


# A refused or failed handshake, told to whoever keeps the record: address, chain if any, SNI, reason.
class HandshakeWitness(Protocol):
    def refused(
        self, address: Address, chain_der: list[bytes], server_name: str | None, verdict: TrustVerdict
    ) -> None: ...

    def failed(self, address: Address, reason: str) -> None:
        """The handshake did not end: not TLS, timed out, no common cipher. `reason` is one stable word."""
        ...
