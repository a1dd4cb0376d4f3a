"""The story itself: each step does something real, looks at what became of it, and says so."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

from rich.panel import Panel
from rich.text import Text

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
from tenant.errors import AnchorExists, TenantExists
from tuhono.chronicle import Chronicle, Entry, Place
from tuhono.cli.demo_devices import DeviceFiles, Outcome, post_over_coap, post_over_http, publish_over_mqtt
from tuhono.cli.output import out, shown
from tuhono.domain import LOG_FILE
from tuhono.server_identity import AUTHORITY_NAME

TENANT = TenantId("demo")
CA_DAYS = 3650
DEVICE_DAYS = 365
SEEN_WITHIN_S = 10.0  # for what was sent to be readable
LOOK_EVERY_S = 0.05
READ_MAX = 1000
Found = TypeVar("Found")
PROTOCOLS: dict[str, tuple[str, Callable[[DeviceFiles, int, str], Awaitable[Outcome]]]] = {
    "mqtt": ("mqtts", publish_over_mqtt),
    "http": ("https", post_over_http),
    "coap": ("coaps", post_over_coap),
}


class Story:
    """Tells it once. `tell` returns whether every step went as it should."""

    def __init__(
        self, *, settings: Settings, store: Store, clock: Clock, addresses: dict[str, tuple[str, int]]
    ) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._addresses = addresses
        self._folder = settings.data_dir / "demo"
        self._server_ca = settings.data_dir / "tls" / AUTHORITY_NAME
        if settings.edge.certificate_file is not None:
            self._server_ca = settings.edge.certificate_file
        self._begin = Place()
        self._seen = Place()
        self._steps = 0
        self._failed = 0
        self._devices: dict[str, DeviceFiles] = {}
        self._ids: dict[str, str] = {}

    @property
    def first_device(self) -> DeviceFiles:
        return self._devices["mqtt"]

    async def tell(self) -> bool:
        """Play every step."""
        out.print(Panel.fit("[bold]Tuhono[/bold]: a device's first connection is its registration"))
        self._begin = self._seen = await self._read(Chronicle.end)
        await asyncio.to_thread(self._prepare)
        for protocol in PROTOCOLS:
            await self._first_connection(protocol)
        await self._read_as_application()
        await self._stranger()
        await self._recognised()
        verdict = "every step went as it should" if self._failed == 0 else f"{self._failed} steps failed"
        out.print(f"\n[bold]{verdict}[/bold]", style="green" if self._failed == 0 else "red")
        return self._failed == 0

    def _prepare(self) -> None:
        self._heading("A tenant, and a CA whose devices it trusts")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ca = self._folder / "factory"
        if not ca.with_suffix(".pem").exists():
            _make_ca(ca, "CN=Factory CA,O=Demo", self._clock)
        tenants = TenantAdministration(tenants=self._store.tenants, settings=self._settings.tenant, clock=self._clock)
        try:
            tenants.create(TENANT)
        except TenantExists:
            self._say(f"the tenant {TENANT!r} is there from an earlier time")
        try:
            choices = AnchorChoices(may_auto_provision=True)
            tenants.trust(TENANT, certificates_in(ca.with_suffix(".pem").read_bytes())[0], "factory", choices)
        except AnchorExists:
            self._say("it trusts the factory's CA already")
        self._say(f"tenant [bold]{TENANT}[/bold] trusts [bold]CN=Factory CA,O=Demo[/bold] and lets it provision")
        self._heading("Three device certificates the registry has never seen")
        run = self._folder / f"run-{1 + sum(1 for _ in self._folder.glob('run-*'))}"
        run.mkdir()
        for protocol in PROTOCOLS:
            name = f"{protocol}-device-{run.name}"
            self._devices[protocol] = self._issue(ca, run / name)
            self._say(f"{self._devices[protocol].certificate}")
        _make_ca(run / "stranger-ca", "CN=Nobody's CA", self._clock)
        self._devices["stranger"] = self._issue(run / "stranger-ca", run / "stranger")

    async def _first_connection(self, protocol: str) -> None:
        scheme, connect = PROTOCOLS[protocol]
        port = self._addresses[scheme][1]
        self._heading(f"The first connection over {scheme.upper()}, port {port}")
        name = self._devices[protocol].name
        outcome = await connect(self._devices[protocol], port, f'{{"from": "{name}", "temp": 21.5}}')
        self._expect(
            outcome.taken, f"{outcome.program}: the message was taken", f"{outcome.program} said: {outcome.said}"
        )
        entry = await self._wait_for(lambda entry: entry.kind == "provisioning")
        if entry is None or entry.message is None:
            self._expect(False, "", "no device was registered")
            return
        device_id = entry.message.message.device_id
        self._ids[protocol] = device_id
        self._expect(True, f"registered as [bold]{shown(device_id)}[/bold], before the connection went on", "")
        self._say(f"its record: tuhono device show {TENANT} {shown(device_id)} --data-dir {self._settings.data_dir}")

    async def _read_as_application(self) -> None:
        self._heading("What an application reads from the log")
        entries = await self._read(partial(_entries_behind, place=self._begin))
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
            self._expect(good, f"{device_id[:8]}… over {protocol}: {text}", f"{protocol}: {len(found)} messages")
        self._expect(len(self._ids) == len(PROTOCOLS), "three devices, three messages", "a message is missing")

    async def _stranger(self) -> None:
        self._heading("A fourth device, whose CA nobody trusts")
        stranger = self._devices["stranger"]
        outcome = await publish_over_mqtt(stranger, self._addresses["mqtts"][1], "let me in", "127.0.0.1")
        first_line = outcome.said.splitlines()[0] if outcome.said else "the connection was refused"
        self._expect(not outcome.taken, f"the device reads: {shown(first_line)}", "it was let in")
        entry = await self._wait_for(lambda entry: entry.refusal is not None)
        refusal = None if entry is None else entry.refusal
        self._expect(refusal is not None, "the operator reads why:", "the refusal was not recorded")
        if refusal is not None:
            for name in ("code", "detail", "subject", "issuer", "serial", "remote"):
                fact = refusal.code if name == "code" else refusal.facts.get(name, "")
                out.print(Text(f"      {name:<8} {shown(fact)}", style="dim"))
            self._expect(refusal.code == "untrusted-issuer", "refused for its issuer", f"refused as {refusal.code}")
        self._say(f"ask again any time: tuhono explain {stranger.certificate} --data-dir {self._settings.data_dir}")

    async def _recognised(self) -> None:
        self._heading("Each device connects again and is recognised")
        before = await asyncio.to_thread(self._count_devices)
        for protocol, (scheme, connect) in PROTOCOLS.items():
            outcome = await connect(self._devices[protocol], self._addresses[scheme][1], '{"again": true}')
            entry = await self._wait_for(partial(_is_again, device_id=self._ids.get(protocol)))
            good = outcome.taken and entry is not None
            self._expect(
                good, f"{protocol}: the same device as before", f"{protocol}: {outcome.said or 'another device'}"
            )
        after = await asyncio.to_thread(self._count_devices)
        self._expect(before == after, f"nothing was created twice: {after} devices on record", f"{before} → {after}")

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
        while page := devices.find_all(TENANT, after=after, limit=READ_MAX):
            count, after = count + len(page), page[-1].device_id
        return count

    async def _wait_for(self, wanted: Callable[[Entry], bool]) -> Entry | None:
        """The first entry behind where we were that is wanted; we are behind it then."""
        with_deadline = self._clock.monotonic() + SEEN_WITHIN_S
        while self._clock.monotonic() < with_deadline:
            entries: Sequence[Entry] = await self._read(partial(_entries_behind, place=self._seen))
            for entry in entries:
                if wanted(entry):
                    self._seen = entry.place
                    return entry
            await asyncio.sleep(LOOK_EVERY_S)
        return None

    async def _read(self, question: Callable[[Chronicle], Found]) -> Found:
        def asked() -> Found:
            with closing(EmbeddedLog(path=self._settings.data_dir / LOG_FILE, clock=self._clock)) as messages:
                return question(Chronicle(messages=messages, audit=self._store.audit))

        return await asyncio.to_thread(asked)

    def _heading(self, text: str) -> None:
        self._steps += 1
        out.print(f"\n[bold cyan]{self._steps}. {text}[/bold cyan]")

    def _say(self, text: str) -> None:
        out.print(f"   {text}")

    def _expect(self, went_well: bool, well: str, badly: str) -> None:
        if went_well:
            out.print(f"   [green]✓[/green] {well}")
        else:
            self._failed += 1
            out.print(Text(f"   ✗ {badly}", style="red"))


def _make_ca(stem: Path, subject: str, clock: Clock) -> None:
    signer = FileSigner.create(stem.with_suffix(".key"))
    der = create_authority(subject, signer=signer, now=clock.now(), days=CA_DAYS)
    stem.with_suffix(".pem").write_bytes(render_certificate(der))


def _entries_behind(chronicle: Chronicle, place: Place) -> Sequence[Entry]:
    return chronicle.read(place, limit=READ_MAX, tenant_id=None)


def _is_again(entry: Entry, device_id: str | None) -> bool:
    return (
        entry.kind == "telemetry"
        and entry.message is not None
        and entry.message.message.device_id == device_id
        and entry.message.message.payload == b'{"again": true}'
    )
