"""Sockets of listeners, and addresses as everyone else reads them."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from adapters.edge.peer import Address

RawAddress = tuple[Any, ...]  # as socket calls give and take it
Send = Callable[[bytes, RawAddress], None]  # puts one datagram on the wire, or drops it

_MAPPED_V4 = "::ffff:"


async def listening_socket(host: str, port: int, *, backlog: int, reuse_port: bool) -> socket.socket:
    """A bound, listening, non-blocking TCP socket, whose options every accepted one inherits. Raises OSError."""
    sock = await _bound_socket(host, port, kind=socket.SOCK_STREAM, reuse_port=reuse_port)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a peer that vanished, where no protocol asks
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


def accepted(listening: socket.socket, family: int) -> tuple[socket.socket, RawAddress]:
    """The next peer's socket, non-blocking. Raises OSError: there is none, it gave up, or there is no room for it."""
    # What `accept` itself calls; it would turn the family and type into enums, which costs 2 µs.
    fd, raw = listening._accept()  # type: ignore[attr-defined]
    sock = socket.socket(family, socket.SOCK_STREAM, 0, fd)
    sock.setblocking(False)
    return sock, raw


async def datagram_socket(host: str, port: int, *, reuse_port: bool, buffer_bytes: int) -> socket.socket:
    """A bound, non-blocking UDP socket. The buffers are as large as the kernel grants. Raises OSError."""
    sock = await _bound_socket(host, port, kind=socket.SOCK_DGRAM, reuse_port=reuse_port)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, buffer_bytes)
    return sock


def address_of(raw: RawAddress) -> Address:
    """The address a socket call gave; an IPv4 peer of a dual-stack socket is spelled as IPv4."""
    host: str = raw[0]
    return Address(host=host.removeprefix(_MAPPED_V4) if host.startswith(_MAPPED_V4) else host, port=raw[1])


async def _bound_socket(host: str, port: int, *, kind: socket.SocketKind, reuse_port: bool) -> socket.socket:
    found = await asyncio.get_running_loop().getaddrinfo(host or None, port, type=kind, flags=socket.AI_PASSIVE)
    family, _, protocol, _, address = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        if kind is socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6 and host in ("", "::"):
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # "::" means everyone
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock
