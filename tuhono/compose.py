"""Every object of the gateway, built once, in flow order: the map for a newcomer.

    device ─► edge ─► admission ─► sessions ─► uplink ─► northbound ─► applications
               │          └─► registry.autoprovision
               └─► tenant.trust over tenant.anchors

Building opens the databases and binds nothing; tuhono/lifecycle.py starts and ends what is built here.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from adapters.admission.admission import Admission
from adapters.admission.handshakes import HandshakeJudge
from adapters.admission.keys import KeyExamination, KeyFinder
from adapters.admission.logins import LoginExamination
from adapters.admission.witness import HandshakeRecord
from adapters.coap.shell import CoapAdapter
from adapters.edge.datagram import DatagramListener
from adapters.edge.listener import StreamListener
from adapters.edge.security import Security
from adapters.edge.tls import TlsContexts
from adapters.edge.turns import Turns
from adapters.http.adapter import HttpAdapter
from adapters.mqtt.adapter import MqttAdapter
from adapters.sessions.measure import UploadMeters
from adapters.sessions.presence import PresenceKeeper
from adapters.sessions.table import SessionTable
from adapters.sessions.uplink import Uplink
from conf.coap import CoapSettings
from conf.http import HttpSettings
from conf.mqtt import MqttSettings
from conf.sections import Settings
from kernel.clock import Clock
from kernel.meters import Meters
from management.health import HealthChecks
from management.server import ManagementServer
from messaging.drivers.embedded import EmbeddedNorthbound
from registry.announcements import Announcer
from registry.assertion import RegistrationAssertion
from registry.audit_retention import AuditRetention
from registry.autoprovision import AutoProvisioner
from registry.edge_devices import EdgeDevices
from registry.logins import PasswordJudge
from registry.publisher import ChangePublisher
from registry.refusals import RefusalRecord
from registry.standing import Standing
from storage.open import Store
from tenant.limits import ProvisioningMeter
from tuhono.domain import LOG_FILE, Domain, build_domain
from tuhono.operating import build_management
from tuhono.server_identity import server_identity

Listener = StreamListener | DatagramListener
AdapterSection = MqttSettings | HttpSettings | CoapSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Everything there is to start, run and end."""

    settings: Settings
    clock: Clock
    store: Store
    domain: Domain
    northbound: EmbeddedNorthbound
    announcer: Announcer
    audit_retention: AuditRetention
    provisioner: AutoProvisioner
    edge_devices: EdgeDevices
    passwords: PasswordJudge
    uplink: Uplink
    presence: PresenceKeeper
    publisher: ChangePublisher
    contexts: TlsContexts
    mqtt: MqttAdapter | None
    http: HttpAdapter | None
    coap: CoapAdapter | None
    listeners: dict[str, Listener]  # mqtts, mqtt, https, http, coaps, coap
    management: ManagementServer | None
    management_files: tuple[Path, Path]  # its certificate and key
    health: HealthChecks


def build_gateway(settings: Settings, store: Store, clock: Clock) -> Gateway:
    """Build it on the running event loop. Raises what opening and reading files can raise."""
    meters, health = Meters(), HealthChecks()
    domain = build_domain(settings, store, clock)
    northbound = EmbeddedNorthbound(
        path=settings.data_dir / LOG_FILE,
        settings=settings.messaging,
        clock=clock,
        loop=asyncio.get_running_loop(),
    )
    refusals = RefusalRecord(store=store.connect_path, clock=clock)
    announcer = Announcer(
        store=store.connect_path,
        tenants=domain.tenants,
        northbound=northbound,
        settings=settings.registry,
        clock=clock,
    )
    provisioner = _provisioner(settings, store, northbound, announcer, clock)
    edge_devices = EdgeDevices(
        store=store.connect_path,
        tenants=domain.tenants,
        announcer=announcer,
        settings=settings.registry,
        clock=clock,
    )
    passwords = PasswordJudge(settings=settings.registry, clock=clock)
    logins = LoginExamination(tenants=domain.tenants, devices=domain.devices, passwords=passwords)
    keys = KeyExamination(tenants=domain.tenants, devices=domain.devices, clock=clock)
    sessions = SessionTable(feed=store.feed, standing=Standing(store=store.connect_path, clock=clock))
    uplink = Uplink(
        northbound=northbound,
        tenants=domain.tenants,
        assertion=RegistrationAssertion(
            store=store.connect_path, feed=store.feed, edge_devices=edge_devices, announcer=announcer
        ),
        meters=UploadMeters(meters=meters),
        feed=store.feed,
        clock=clock,
        defaults_enabled=settings.messaging.defaults_enabled,
    )
    identity = server_identity(settings, clock)
    management_files = (
        settings.management.certificate_file or identity.certificate_file,
        settings.management.key_file or identity.key_file,
    )
    contexts = TlsContexts(
        settings=settings.edge,
        certificate_file=identity.certificate_file,
        key_file=identity.key_file,
        clock=clock,
    )

    def admission(section: AdapterSection) -> Admission:
        return Admission(
            authentication_required=section.authentication_required,
            examination=domain.examination,
            logins=logins,
            keys=keys,
            provisioner=provisioner,
            refusals=refusals,
        )

    mqtt = http = coap = None
    if settings.mqtt.enabled:
        mqtt = MqttAdapter(
            settings=settings.mqtt,
            admission=admission(settings.mqtt),
            uplink=uplink,
            sessions=sessions,
            meters=meters,
            clock=clock,
        )
    if settings.http.enabled:
        http = HttpAdapter(
            settings=settings.http,
            admission=admission(settings.http),
            uplink=uplink,
            sessions=sessions,
            meters=meters,
            clock=clock,
        )
    if settings.coap.enabled:
        coap = CoapAdapter(
            settings=settings.coap,
            admission=admission(settings.coap),
            uplink=uplink,
            sessions=sessions,
            meters=meters,
            clock=clock,
        )
    listeners = _Ports(settings, clock, contexts, domain, keys, refusals).all(mqtt, http, coap)
    return Gateway(
        settings=settings,
        clock=clock,
        store=store,
        domain=domain,
        northbound=northbound,
        announcer=announcer,
        audit_retention=AuditRetention(audit=store.audit, days_max=settings.registry.audit_days_max, clock=clock),
        provisioner=provisioner,
        edge_devices=edge_devices,
        passwords=passwords,
        uplink=uplink,
        presence=PresenceKeeper(sessions=sessions, record=store.presence, clock=clock),
        publisher=ChangePublisher(
            publications=store.publications, sink=northbound, tenants=domain.tenants, meters=meters, clock=clock
        ),
        contexts=contexts,
        mqtt=mqtt,
        http=http,
        coap=coap,
        listeners=listeners,
        management=build_management(settings, store, clock, files=management_files, meters=meters, health=health)
        if settings.management.enabled
        else None,
        management_files=management_files,
        health=health,
    )


def _provisioner(
    settings: Settings, store: Store, northbound: EmbeddedNorthbound, announcer: Announcer, clock: Clock
) -> AutoProvisioner:
    return AutoProvisioner(
        store=store.connect_path,
        northbound=northbound,
        announcer=announcer,
        meter=ProvisioningMeter(
            per_s_max=settings.registry.provisioning_per_s_max,
            burst_max=settings.registry.provisioning_burst_max,
            clock=clock,
        ),
        clock=clock,
    )


class _Ports:
    """The listeners of all adapters. Secure ones ask for a certificate; plain ones exist only where set."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        contexts: TlsContexts,
        domain: Domain,
        keys: KeyExamination,
        refusals: RefusalRecord,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._contexts = contexts
        self._domain = domain
        self._keys = keys
        self._refusals = refusals
        self._turns = Turns(clock=clock)  # one queue for all ports: handshakes of one must not starve another

    def all(self, mqtt: MqttAdapter | None, http: HttpAdapter | None, coap: CoapAdapter | None) -> dict[str, Listener]:
        """Listeners by the name of their URI scheme."""
        made: dict[str, Listener | None] = {}
        if mqtt is not None:
            section = self._settings.mqtt
            stream = partial(self._stream, section, mqtt.handler)
            made["mqtts"] = stream(section.port, self._in_words("hono-mqtt", section.certificate_required))
            made["mqtt"] = stream(section.insecure_port, None)
        if http is not None:
            http_section = self._settings.http
            stream = partial(self._stream, http_section, http.handler)
            made["https"] = stream(http_section.port, self._in_words("hono-http", http_section.certificate_required))
            made["http"] = stream(http_section.insecure_port, None)
        if coap is not None:
            coap_section = self._settings.coap
            secure = self._in_handshake("hono-coap", coap_section.authentication_required)
            made["coaps"] = self._datagram(coap, coap_section.port, secure)
            made["coap"] = self._datagram(coap, coap_section.insecure_port, None)
        return {name: listener for name, listener in made.items() if listener is not None}

    def _in_words(self, adapter: str, certificate_required: bool) -> Security:
        """Most refusals are told after the handshake."""
        return Security(
            contexts=self._contexts,
            judge=lambda chain_der, server_name, _: self._domain.judge.judge_now(chain_der, server_name),
            witness=HandshakeRecord(adapter=adapter, refusals=self._refusals),
            certificate_required=certificate_required,
        )

    def _in_handshake(self, adapter: str, certificate_required: bool) -> Security:
        """Whoever proves to be nobody does not get through the handshake."""
        domain = self._domain
        return Security(
            contexts=self._contexts,
            judge=HandshakeJudge(adapter=adapter, judge=domain.judge, examination=domain.examination),
            witness=HandshakeRecord(adapter=adapter, refusals=self._refusals),
            certificate_required=certificate_required,
            refuse_in_handshake=True,
            find_key=KeyFinder(adapter=adapter, examination=self._keys, refusals=self._refusals),
        )

    def _stream(
        self,
        section: MqttSettings | HttpSettings,
        handler: Callable[[], object],
        port: int | None,
        security: Security | None,
    ) -> StreamListener | None:
        if port is None:
            return None
        return StreamListener(
            host=section.host,
            port=port,
            settings=self._settings.edge,
            clock=self._clock,
            turns=self._turns,
            handler_factory=handler,  # type: ignore[arg-type]
            security=security,
        )

    def _datagram(self, coap: CoapAdapter, port: int | None, security: Security | None) -> DatagramListener | None:
        if port is None:
            return None
        return DatagramListener(
            host=self._settings.coap.host,
            port=port,
            settings=self._settings.edge,
            clock=self._clock,
            turns=self._turns,
            handler=coap,
            security=security,
        )
