"""A real gateway in a process of its own, on free ports, and an operator's hands on its databases.

    with running_gateway(tmp_path) as gateway:
        ca = make_ca("CN=CA")
        gateway.trust("acme", ca, may_auto_provision=True)
        device = gateway.files(ca.issue("CN=dev-1"))
        subprocess.run(["mosquitto_pub", *gateway.mosquitto(device), "-t", "t", "-m", "hello"])

The operator works as `tuhono tenant` does: on the shared database, from another process than the gateway's.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from kernel.clock import SystemClock
from kernel.ids import DeviceId, IdRule, TenantId
from messaging.drivers.embedded_reader import EmbeddedLog
from messaging.message import DeviceMessage, MessageKind
from registry.administration import DeviceAdministration
from registry.model import Device
from storage.open import Store
from tenant.administration import AnchorChoices, TenantAdministration
from tenant.audit import AuditRow, Deed
from tenant.errors import TenantExists
from tenant.model import Tenant, TrustAnchor
from tests.support.certificates import Issued, Paths
from tests.support.waiting import until_blocking
from tuhono.cli.context import settings_of
from tuhono.domain import LOG_FILE, open_databases

READ_MAX = 100_000
FREE_PORTS: Mapping[str, Mapping[str, Any]] = {
    "mqtt": {"host": "127.0.0.1", "port": 0},
    "http": {"host": "127.0.0.1", "port": 0},
    "coap": {"host": "127.0.0.1", "port": 0},
    "management": {"port": 0},
    "log": {"format": "json"},
    "lifecycle": {"drain_max_s": 5.0},
}


@dataclass(slots=True)
class RunningGateway:
    """One `tuhono serve`. `restart` starts another on the same data."""

    data_dir: Path
    config: Path
    log_file: Path
    process: "subprocess.Popen[bytes]"
    ports: Mapping[str, int]  # mqtts, https, coaps, management, and plain ones where set
    store: Store
    tenants: TenantAdministration
    devices: DeviceAdministration
    _files: int = 0
    _spawned: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    # The operator

    def trust(self, tenant_id: str, ca: Issued, anchor_id: str | None = None, **choices: Any) -> TrustAnchor:
        """Trust the CA, creating the tenant if need be. `choices` as in AnchorChoices."""
        try:
            self.make_tenant(tenant_id)
        except TenantExists:
            pass
        return self.tenants.trust(tenant_id, ca.der, anchor_id, AnchorChoices(**choices), self.deed())

    def make_tenant(self, tenant_id: str, **members: Any) -> Tenant:
        """A new tenant. `members` as in Tenant."""
        return self.tenants.create(Tenant(tenant_id=TenantId(tenant_id), **members), self.deed())

    def device_ids(self, tenant_id: str) -> list[str]:
        return [device.device_id for device in self.devices.all(tenant_id)]

    def device(self, tenant_id: str, device_id: str) -> Device:
        return self.devices.get(tenant_id, device_id)

    # The application

    def messages(self, tenant_id: str | None = None) -> list[DeviceMessage]:
        """Everything devices said so far, oldest first, provisioning events included."""
        return [message for message in self.log_of(tenant_id) if message.kind is not MessageKind.NOTIFICATION]

    def notifications(self, tenant_id: str | None = None) -> list[dict[str, Any]]:
        """Every change of the registry told so far, oldest first."""
        told = (message for message in self.log_of(tenant_id) if message.kind is MessageKind.NOTIFICATION)
        return [json.loads(message.payload or b"") for message in told]

    def log_of(self, tenant_id: str | None = None) -> list[DeviceMessage]:
        """Everything kept so far, oldest first."""
        with closing(EmbeddedLog(path=self.data_dir / LOG_FILE, clock=SystemClock())) as log:
            only = None if tenant_id is None else TenantId(tenant_id)
            found: list[DeviceMessage] = []
            after = 0
            while page := log.read(after=after, limit=READ_MAX, tenant_id=only):
                found += [kept.message for kept in page]
                after = page[-1].position
            return found

    def payloads(self, device_id: str | None = None) -> list[bytes]:
        """Of what devices sent: events of provisioning have none."""
        wanted = None if device_id is None else DeviceId(device_id)
        return [
            message.payload
            for message in self.messages()
            if message.payload is not None and wanted in {None, message.device_id}
        ]

    def wait_for_payloads(self, *expected: bytes, within_s: float = 30.0) -> None:
        """Return once each of them is in the log."""
        until_blocking(lambda: set(expected) <= set(self.payloads()), within_s=within_s)

    def audit(self, what: str | None = None) -> list[AuditRow]:
        return list(self.store.audit.read(after=0, limit=READ_MAX, what=what))

    def wait_for_refusal(self, code: str, *, within_s: float = 30.0) -> AuditRow:
        """The newest refusal with that code."""
        until_blocking(lambda: any(row.code == code for row in self.audit("device.refused")), within_s=within_s)
        return [row for row in self.audit("device.refused") if row.code == code][-1]

    # The device

    def files(self, issued: Issued) -> Paths:
        """Certificate, key and chain in files of their own."""
        self._files += 1
        return issued.write(self.config.parent, f"device-{self._files}")

    @property
    def server_ca(self) -> Path:
        return self.data_dir / "tls" / "ca.pem"

    def mosquitto(self, device: Paths | None, host: str = "127.0.0.1") -> list[str]:
        """Arguments of mosquitto_pub or _sub that say where and as whom."""
        words: list[object] = ["-h", host, "-p", self.ports["mqtts"], "--cafile", self.server_ca]
        if device is not None:
            words += ["--cert", device.certificate, "--key", device.key]
        return [str(word) for word in words]

    def curl(self, device: Paths | None, path: str, host: str = "127.0.0.1") -> list[str]:
        """Arguments of curl that say where and as whom; silent, showing the status line and headers."""
        words: list[object] = ["-sS", "-i", "--max-time", 20, "--cacert", self.server_ca]
        if device is not None:
            words += ["--cert", device.certificate, "--key", device.key]
        return [str(word) for word in (*words, f"https://{host}:{self.ports['https']}{path}")]

    def coap(self, device: Paths, path: str, host: str = "127.0.0.1") -> list[str]:
        """Arguments of coap-client-openssl or -gnutls that say where and as whom."""
        words = ["-c", device.certificate, "-j", device.key, "-R", self.server_ca, "-B", 10]
        return [str(word) for word in (*words, f"coaps://{host}:{self.ports['coaps']}{path}")]

    # The process

    def log(self) -> list[dict[str, Any]]:
        """What the gateway wrote so far, a record a line."""
        lines = self.log_file.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def deed(self) -> Deed:
        """A change by whoever runs the tests."""
        return Deed(actor="local:tests", moment=SystemClock().now())

    def stop(self, number: signal.Signals = signal.SIGTERM, *, within_s: float = 20.0) -> int:
        """End the process and return its status."""
        self.process.send_signal(number)
        return self.process.wait(within_s)

    def restart(self, *, within_s: float = 30.0) -> None:
        """Start another gateway on the same data and configuration, on new ports."""
        self.process, self.ports = _spawn(self.config, self.data_dir, self.log_file, within_s=within_s)
        self._spawned.append(self.process)

    def another(self) -> "RunningGateway":
        """A second process on the same databases, on ports of its own; ended with this one."""
        log_file = self.log_file.with_name(f"gateway-{len(self._spawned) + 2}.log")
        process, ports = _spawn(self.config, self.data_dir, log_file, within_s=30.0)
        self._spawned.append(process)
        return RunningGateway(
            self.data_dir, self.config, log_file, process, ports, self.store, self.tenants, self.devices
        )


@contextmanager
def running_gateway(folder: Path, **sections: Mapping[str, Any]) -> Iterator[RunningGateway]:
    """A gateway with its data in the folder. `sections` override single settings: `mqtt={"take_over": False}`."""
    data_dir, config = folder / "data", folder / "tuhono.toml"
    config.write_text(
        _toml({name: {**FREE_PORTS.get(name, {}), **sections.get(name, {})} for name in {*FREE_PORTS, *sections}})
    )
    log_file = folder / "gateway.log"
    process, ports = _spawn(config, data_dir, log_file, within_s=30.0)
    settings, clock = settings_of(config, data_dir), SystemClock()
    store = open_databases(settings, clock)
    gateway = RunningGateway(
        data_dir=data_dir,
        config=config,
        log_file=log_file,
        process=process,
        ports=ports,
        store=store,
        tenants=TenantAdministration(tenants=store.tenants, settings=settings.tenant),
        devices=DeviceAdministration(
            devices=store.devices,
            tenants=store.tenants,
            settings=settings.registry,
            tenant_ids=IdRule(settings.tenant.id_pattern),
        ),
    )
    gateway._spawned.append(process)
    try:
        yield gateway
    finally:
        store.close()
        for started in gateway._spawned:
            _end(started)


def _spawn(
    config: Path, data_dir: Path, log_file: Path, *, within_s: float
) -> "tuple[subprocess.Popen[bytes], Mapping[str, int]]":
    begin = log_file.stat().st_size if log_file.exists() else 0
    command: Sequence[object] = (sys.executable, "-m", "tuhono", "serve", "--config", config, "--data-dir", data_dir)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TUHONO_")}
    with log_file.open("ab") as output:
        process = subprocess.Popen([str(word) for word in command], stdout=output, stderr=output, env=environment)
    with log_file.open() as written:
        written.seek(begin)
        started: dict[str, Any] = {}

        def has_started() -> bool:
            if process.poll() is not None:
                raise AssertionError(f"the gateway ended with {process.returncode}: {log_file.read_text()[-4000:]}")
            started.update(_started_record(written))
            return bool(started)

        until_blocking(has_started, within_s=within_s)
    schemes = ("mqtts", "mqtt", "https", "http", "coaps", "coap", "management")
    return process, {name: int(started[name].rpartition(":")[2]) for name in schemes if name in started}


def _started_record(written: TextIO) -> dict[str, Any]:
    for line in written:
        if line.startswith("{") and '"gateway.started"' in line:
            record: dict[str, Any] = json.loads(line)
            return record
    return {}


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    lines: list[str] = []
    for name, section in sections.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in section.items()), ""]
    return "\n".join(lines)
