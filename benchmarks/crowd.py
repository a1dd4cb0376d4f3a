"""The devices of a run: the fleet that every server gets to know, and strangers, each to be met once."""

from collections.abc import Sequence

from benchmarks.credentials import Authority, Device, Files
from benchmarks.load import mqtt
from benchmarks.load.crew import Errand, carry_out
from benchmarks.load.links import DtlsContext, DtlsLink, TlsContext, TlsLink
from benchmarks.servers.server import Server

# Fits the cache of parsed certificates (pki.certificate_cache_max), as a fleet of that size does where it is served.
FLEET_DEVICES = 1200
HANDSHAKES_AT_ONCE = 16
WITHIN_S = 60.0


class Crowd:
    """Makes devices and lets them come, stay and go."""

    def __init__(self, authority: Authority, files: Files) -> None:
        self._authority = authority
        self._tls = TlsContext(files.ca)
        self._dtls = DtlsContext(files.ca)
        self._turns: dict[str, int] = {}
        self.fleet = authority.issue_devices(FLEET_DEVICES)

    def strangers(self, count: int) -> Sequence[Device]:
        """Devices that no server has seen."""
        return self._authority.issue_devices(count)

    def next_in_turn(self, server: Server, count: int) -> Sequence[Device]:
        """Those of the fleet that this server has not seen for longest."""
        turn = self._turns.get(server.name, 0)
        self._turns[server.name] = turn + count
        return [self.fleet[(turn + i) % len(self.fleet)] for i in range(count)]

    def come_and_go(self, server: Server, devices: Sequence[Device]) -> None:
        """Each connects over MQTT, is accepted, and leaves."""
        port = server.ports["mqtts"]

        def visit(device: Device) -> Errand:
            link = self._tls.link(port, device)
            return Errand(link, mqtt.connect_and_leave(link, device.name))

        carry_out(map(visit, devices), at_once=HANDSHAKES_AT_ONCE, within_s=WITHIN_S)

    def stay_on_mqtt(self, server: Server, devices: Sequence[Device]) -> list[TlsLink]:
        """Each connects over MQTT, is accepted, and stays."""
        port, links = server.ports["mqtts"], []

        def arrive(device: Device) -> Errand:
            link = self._tls.link(port, device)
            links.append(link)
            return Errand(link, mqtt.connect(link, device.name))

        carry_out(map(arrive, devices), at_once=HANDSHAKES_AT_ONCE, within_s=WITHIN_S)
        return links

    def stay_on_tls(self, server: Server, devices: Sequence[Device]) -> list[TlsLink]:
        """Each finishes its handshake with the HTTP port."""
        port, links = server.ports["https"], []

        def arrive(device: Device) -> Errand:
            link = self._tls.link(port, device)
            links.append(link)
            return Errand(link, link.handshake())

        carry_out(map(arrive, devices), at_once=HANDSHAKES_AT_ONCE, within_s=WITHIN_S)
        return links

    def stay_on_dtls(self, server: Server, devices: Sequence[Device]) -> list[DtlsLink]:
        """Each finishes its handshake with the CoAP port."""
        port, links = server.ports["coaps"], []

        def arrive(device: Device) -> Errand:
            link = self._dtls.link(port, device)
            links.append(link)
            return Errand(link, link.handshake())

        carry_out(map(arrive, devices), at_once=HANDSHAKES_AT_ONCE, within_s=WITHIN_S)
        return links
