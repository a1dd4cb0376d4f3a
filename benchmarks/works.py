"""The operations that are measured: how a server is prepared for one, made to do it, and asked what it counted.

prepare    once a server, outside the measurement
perform    the operations, every answer checked
finish     leave the server as it was
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from benchmarks.credentials import Device
from benchmarks.crowd import WITHIN_S, Crowd
from benchmarks.load import coap, http, mqtt
from benchmarks.load.crew import Errand, carry_out
from benchmarks.load.links import DtlsLink, Link, Steps, TlsLink
from benchmarks.servers.server import Server

CONNECTIONS = 100
PAYLOAD = b'{"temperature":21.5,"humidity":48,"battery":0.93,"sequence":12345}'


class Work(Protocol):
    """One kind of operation."""

    def prepare(self, crowd: Crowd, server: Server) -> None: ...

    def draw(self, crowd: Crowd, server: Server, count: int) -> None:
        """Make what the next `count` operations need, outside the measurement."""
        ...

    def perform(self, crowd: Crowd, server: Server, count: int) -> None: ...

    def counts(self, count: int) -> dict[str, int]:
        """By how much that many operations must raise a server's own counts, where it keeps them."""
        ...

    def finish(self) -> None: ...


class Connect:
    """Handshake, CONNECT, CONNACK, DISCONNECT, of devices the server knows."""

    def __init__(self) -> None:
        self._devices: Sequence[Device] = ()

    def prepare(self, crowd: Crowd, server: Server) -> None:
        pass

    def draw(self, crowd: Crowd, server: Server, count: int) -> None:
        self._devices = crowd.next_in_turn(server, count)

    def perform(self, crowd: Crowd, server: Server, count: int) -> None:
        crowd.come_and_go(server, self._devices)

    def counts(self, count: int) -> dict[str, int]:
        return {"connections": count, "kept": 0}  # nothing is registered twice, so nothing is announced

    def finish(self) -> None:
        pass


class Provision(Connect):
    """The same of devices the server has never seen; it registers each and announces it."""

    def draw(self, crowd: Crowd, server: Server, count: int) -> None:
        self._devices = crowd.strangers(count)

    def counts(self, count: int) -> dict[str, int]:
        return {"connections": count, "kept": count}  # one provisioning event each


class Talk:
    """Messages over connections that stay, all of them busy at the same time."""

    def __init__(
        self,
        *,
        arrive: Callable[[Crowd, Server, Sequence[Device]], Sequence[TlsLink] | Sequence[DtlsLink]],
        speak: Callable[[Server, Link, int], Steps],
        counts: Callable[[int], dict[str, int]],
        greet: Callable[[Server, Link], Steps] | None = None,
    ) -> None:
        self._arrive = arrive
        self._speak = speak
        self._greet = greet
        self._counts = counts
        self._links: dict[str, Sequence[Link]] = {}

    def prepare(self, crowd: Crowd, server: Server) -> None:
        links = self._links[server.name] = self._arrive(crowd, server, crowd.next_in_turn(server, CONNECTIONS))
        if self._greet is not None:
            carry_out([Errand(links[0], self._greet(server, links[0]))], at_once=1, within_s=WITHIN_S)

    def draw(self, crowd: Crowd, server: Server, count: int) -> None:
        pass

    def perform(self, crowd: Crowd, server: Server, count: int) -> None:
        links = self._links[server.name]
        errands = (Errand(link, self._speak(server, link, count // len(links))) for link in links)
        carry_out(errands, at_once=len(links), within_s=WITHIN_S)

    def counts(self, count: int) -> dict[str, int]:
        return self._counts(count)

    def finish(self) -> None:
        for links in self._links.values():
            for link in links:
                link.close()
        self._links = {}


def publish(*, window: int, together: bool = False) -> Talk:
    """QoS 1 over MQTT."""
    return Talk(
        arrive=Crowd.stay_on_mqtt,
        speak=lambda _, link, count: mqtt.publish(link, PAYLOAD, count=count, window=window, together=together),
        counts=lambda count: {"kept": count},
    )


def post(*, qos: int) -> Talk:
    """POST over HTTP connections kept alive."""
    request = http.render_post(PAYLOAD, qos=qos)
    return Talk(
        arrive=Crowd.stay_on_tls,
        speak=lambda _, link, count: http.post(link, request, count=count),
        counts=lambda count: {"kept": count, "requests": count},
    )


class _MessageIds:
    """Where each association's next message id is: they must not come again soon (RFC 7252 4.4)."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}

    def take(self, link: Link, count: int) -> int:
        first = self._next.get(id(link), 0)
        self._next[id(link)] = first + count
        return first


def upload() -> Talk:
    """Confirmable telemetry over CoAP. libcoap's server knows PUT only, and has the resource made first."""
    ids = _MessageIds()

    def speak(server: Server, link: Link, count: int) -> Steps:
        method = coap.PUT if server.name == "libcoap" else coap.POST
        return coap.upload(link, PAYLOAD, count=count, first_id=ids.take(link, count), method=method)

    def greet(server: Server, link: Link) -> Steps:
        if server.name != "libcoap":
            return iter(())
        return coap.upload(link, PAYLOAD, count=1, first_id=ids.take(link, 1), method=coap.PUT, code=coap.CREATED)

    return Talk(arrive=Crowd.stay_on_dtls, speak=speak, greet=greet, counts=lambda count: {"kept": count})
