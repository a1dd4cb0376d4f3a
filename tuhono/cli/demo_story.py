"""The story itself: each step does something real, looks at what became of it, and says so."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

from conf.sections import Settings
from kernel.clock import Clock
from kernel.ids import TenantId
from messaging.drivers.embedded_reader import EmbeddedLog
from pki.issuance import create_authority, issue
from pki.name_values import escape_value
from pki.pem import certificates_in, render_certificate
from pki.profiles import DEVICE
from pki.signers.file import FileSigner
from storage.open import Store
from tenant.administration import AnchorChoices, TenantAdministration
from tenant.audit import Deed
from tenant.errors import AnchorExists, TenantExists
from tenant.model import Tenant
from tuhono.chronicle import Chronicle, Entry, Place
from tuhono.cli.demo_devices import DeviceFiles, Outcome, post_over_coap, post_over_http, publish_over_mqtt
from tuhono.cli.demo_stage import Stage, program, where
from tuhono.cli.output import shown
from tuhono.domain import LOG_FILE

TENANT = TenantId("demo")
FACTORY_DN = "CN=Factory CA,O=Demo"
FACTORY_ID = "factory"  # of its trust anchor
CA_DAYS = 3650
DEVICE_DAYS = 365
SEEN_WITHIN_S = 10.0  # for what was sent to be readable
LOOK_EVERY_S = 0.05
PAGE_DEVICES = 1000
Found = TypeVar("Found")
PROTOCOLS: dict[str, tuple[str, Callable[[DeviceFiles, int, str], Awaitable[Outcome]]]] = {
    "mqtt": ("mqtts", publish_over_mqtt),
    "http": ("https", post_over_http),
    "coap": ("coaps", post_over_coap),
}


class Story:
    """Tells it once. `tell` returns whether every step went as it should."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        clock: Clock,
        ports: dict[str, int],
        server_ca: Path,
        stage: Stage,
    ) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._ports = ports
        self._server_ca = server_ca
        self._stage = stage
        self._folder = settings.data_dir / "demo"
        self._begin = Place()
        self._seen = Place()
        self._devices: dict[str, DeviceFiles] = {}
        self._ids: dict[str, str] = {}

    @property
    def first_device(self) -> DeviceFiles:
        return self._devices["mqtt"]

    async def tell(self) -> bool:
        """Play every step."""
        self._stage.title("Tuhono: a device's first connection is its registration")
        self._begin = self._seen = await self._read(Chronicle.end)
        await asyncio.to_thread(self._prepare)
        for protocol in PROTOCOLS:
            await self._first_connection(protocol)
        if self._ids:  # else nothing that follows would tell anything new
            await self._read_as_application()
            await self._stranger()
            await self._recognised()
        self._stage.verdict()
        return self._stage.failed == 0

    def _prepare(self) -> None:
        self._stage.heading("A tenant, and a CA whose devices it trusts")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ca = self._folder / "factory"
        if not ca.with_suffix(".pem").exists():
            ca.with_suffix(".key").unlink(missing_ok=True)  # of an attempt that was cut short
            _make_ca(ca, FACTORY_DN, self._clock)
        self._trust(certificates_in(ca.with_suffix(".pem").read_bytes())[0])
        self._stage.say(f"the tenant {TENANT!r} trusts {FACTORY_DN!r} and lets it provision:")
        self._stage.say("devices whose certificates it signed register themselves")
        self._stage.heading("Three device certificates the registry has never seen")
        run = self._new_run()
        for protocol in PROTOCOLS:
            self._devices[protocol] = self._issue(ca, run / f"{protocol}-device-{run.name}")
            self._stage.say(f"{self._devices[protocol].certificate}")
        _make_ca(run / "stranger-ca", "CN=Nobody's CA", self._clock)
        self._devices["stranger"] = self._issue(run / "stranger-ca", run / "stranger")

    def _trust(self, der: bytes) -> None:
        """The factory's CA, and no other of an earlier time."""
        tenants = TenantAdministration(tenants=self._store.tenants, settings=self._settings.tenant)
        deed = Deed(actor="local:demo", moment=self._clock.now())
        try:
            tenants.create(Tenant(tenant_id=TenantId(TENANT)), deed)
        except TenantExists:
            self._stage.say(f"the tenant {TENANT!r} is there from an earlier time")
        choices = AnchorChoices(may_auto_provision=True)
        try:
            tenants.trust(TENANT, der, FACTORY_ID, choices, deed)
        except AnchorExists:  # its files are gone, and the key with them
            tenants.distrust(TENANT, FACTORY_ID, deed)
            tenants.trust(TENANT, der, FACTORY_ID, choices, deed)

    def _new_run(self) -> Path:
        """A folder for this time's devices, of a name that no certificate of an earlier time bears."""
        run = self._folder / secrets.token_hex(3)
        run.mkdir()
        return run

    async def _first_connection(self, protocol: str) -> None:
        scheme, connect = PROTOCOLS[protocol]
        port = self._ports[scheme]
        self._stage.heading(f"The first connection over {scheme.upper()}, port {port}")
        name = self._devices[protocol].name
        outcome = await connect(self._devices[protocol], port, f'{{"from": "{name}", "temp": 21.5}}')
        self._stage.expect(
            outcome.taken, f"{outcome.program}: the message was taken", f"{outcome.program} said: {outcome.said}"
        )
        if not outcome.taken:
            return
        entry = await self._wait_for(lambda entry: entry.kind == "provisioning")
        if entry is None or entry.message is None:
            self._stage.expect(False, "", "no device was registered")
            return
        device_id = entry.message.message.device_id
        self._ids[protocol] = device_id
        self._stage.expect(True, f"registered first, as {device_id}; its record:", "")
        self._stage.command([program(), "device", "show", TENANT, device_id, *where(self._settings.data_dir)])

    async def _read_as_application(self) -> None:
        self._stage.heading("What an application reads from the log")
        entries = (await self._read(partial(Chronicle.read, after=self._begin))).entries  # a dozen
        for protocol, device_id in self._ids.items():
            found = [
                entry.message.message
                for entry in entries
                if entry.kind == "telemetry"
                and entry.message is not None
                and entry.message.message.device_id == device_id
            ]
            good = len(found) == 1 and self._devices[protocol].name.encode() in (found[0].payload or b"")
            text = found[0].payload.decode() if good and found[0].payload else ""
            self._stage.expect(good, f"{device_id[:8]}… over {protocol}: {text}", f"{protocol}: {len(found)} messages")
        self._stage.expect(len(self._ids) == len(PROTOCOLS), "three devices, three messages", "a message is missing")

    async def _stranger(self) -> None:
        self._stage.heading("A fourth device, whose CA nobody trusts")
        stranger = self._devices["stranger"]
        outcome = await publish_over_mqtt(stranger, self._ports["mqtts"], "let me in", "127.0.0.1")
        first_line = outcome.said.splitlines()[0] if outcome.said else "the connection was refused"
        self._stage.expect(not outcome.taken, "refused; what the device reads:", "it was let in")
        self._stage.say(f"     {shown(first_line)}", style="dim")
        entry = await self._wait_for(lambda entry: entry.refusal is not None)
        refusal = None if entry is None else entry.refusal
        if refusal is None:
            self._stage.expect(False, "", "the refusal was not recorded")
            return
        well = refusal.code == "untrusted-issuer"
        self._stage.expect(well, "for its issuer; what the operator reads:", f"but as {refusal.code}")
        self._stage.fact("code", refusal.code)
        for name in ("detail", "subject", "issuer", "serial", "remote"):
            self._stage.fact(name, refusal.facts.get(name, ""))
        self._stage.say("to ask again at any time:")
        self._stage.command([program(), "explain", stranger.certificate, *where(self._settings.data_dir)])

    async def _recognised(self) -> None:
        self._stage.heading("Each device connects again and is recognised")
        before = await asyncio.to_thread(self._count_devices)
        for protocol, (scheme, connect) in PROTOCOLS.items():
            outcome = await connect(self._devices[protocol], self._ports[scheme], '{"again": true}')
            device_id = self._ids.get(protocol)
            entry = None
            if outcome.taken and device_id is not None:
                entry = await self._wait_for(partial(_is_again, device_id=device_id))
            badly = f"{protocol}: {outcome.said or 'another device'}"
            self._stage.expect(entry is not None, f"{protocol}: the same device as before", badly)
        after = await asyncio.to_thread(self._count_devices)
        well = f"nothing was created twice: {after} devices on record"
        self._stage.expect(before == after, well, f"{before} devices before, {after} after")

    def _issue(self, ca: Path, stem: Path) -> DeviceFiles:
        signer = FileSigner.create(stem.with_suffix(".key"))
        der = issue(
            f"CN={escape_value(stem.name)},O=Demo",
            public_key_der=signer.public_key_der,
            authority_der=certificates_in(ca.with_suffix(".pem").read_bytes())[0],
            signer=FileSigner.load(ca.with_suffix(".key")),
            profile=DEVICE,
            now=self._clock.now(),
            days=DEVICE_DAYS,
        )
        stem.with_suffix(".pem").write_bytes(render_certificate(der))
        return DeviceFiles(
            name=stem.name,
            certificate=stem.with_suffix(".pem"),
            key=stem.with_suffix(".key"),
            server_ca=self._server_ca,
        )

    def _count_devices(self) -> int:
        devices, after, count = self._store.devices, None, 0
        while page := devices.find_all(TENANT, after=after, limit=PAGE_DEVICES):
            count, after = count + len(page), page[-1].device_id
        return count

    async def _wait_for(self, wanted: Callable[[Entry], bool]) -> Entry | None:
        """The first entry behind where we were that is wanted; we are behind it then."""
        with_deadline = self._clock.monotonic() + SEEN_WITHIN_S
        while self._clock.monotonic() < with_deadline:
            page = await self._read(partial(Chronicle.read, after=self._seen))
            for entry in page.entries:
                self._seen = entry.place
                if wanted(entry):
                    return entry
            await asyncio.sleep(LOOK_EVERY_S)
        return None

    async def _read(self, question: Callable[[Chronicle], Found]) -> Found:
        def asked() -> Found:
            with closing(EmbeddedLog(path=self._settings.data_dir / LOG_FILE, clock=self._clock)) as messages:
                return question(Chronicle(messages=messages, audit=self._store.audit))

        return await asyncio.to_thread(asked)


def _make_ca(stem: Path, subject: str, clock: Clock) -> None:
    signer = FileSigner.create(stem.with_suffix(".key"))
    der = create_authority(subject, signer=signer, now=clock.now(), days=CA_DAYS)
    stem.with_suffix(".pem").write_bytes(render_certificate(der))


def _is_again(entry: Entry, device_id: str | None) -> bool:
    return (
        entry.kind == "telemetry"
        and entry.message is not None
        and entry.message.message.device_id == device_id
        and entry.message.message.payload == b'{"again": true}'
    )
