"""Starts, runs and ends a gateway; owns its tasks and its signals.

start   databases and message log, then ports, then management; one line says what listens where
run     every long-lived task in one group: when one fails, the process ends with its fault
end     on SIGTERM or SIGINT: not ready, no new peers, acknowledged work finishes, sessions say goodbye,
        what is pending is kept; all within `lifecycle.drain_max_s`. A second signal ends at once.
"""

import asyncio
import gc
import logging
import resource
import signal
import sys
from collections.abc import Awaitable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path

from kernel.errors import TuhonoError, Unavailable
from kernel.log import fields
from tuhono.compose import AdapterSection, Gateway

log = logging.getLogger(__name__)

DRAIN_SHARE = 0.6  # of the time there is: for the adapters; the rest is for listeners, log and database
LEAST_S = 0.25  # that the log and the database get however late it is

THREAD_SWITCH_S = 1e-4
COLLECTED_EVERY = (50_000, 20, 50)  # objects more than gone, then young collections, then middle ones


class PortUnavailable(Unavailable):
    """A listener cannot have its address: another program has the port, or the host is not this machine's."""

    code = "port-unavailable"

    def __init__(self, scheme: str, host: str, port: int | None, fault: OSError) -> None:
        super().__init__(f"cannot listen for {scheme} on {host}:{port}: {fault.strerror or fault}")


class Lifecycle:
    """One gateway's life. `run` once."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._stop = asyncio.Event()
        self._started = asyncio.Event()
        self._accepting = False
        self._ends_at: float | None = None
        gateway.health.add_readiness("listeners", self._listening)
        gateway.health.add_readiness("registry", self._registry)
        gateway.health.add_readiness("message-log", self._message_log)

    @property
    def addresses(self) -> dict[str, tuple[str, int]]:
        """Where each scheme is really served, once started."""
        gateway = self._gateway
        hosts = {"m": gateway.settings.mqtt.host, "h": gateway.settings.http.host, "c": gateway.settings.coap.host}
        found = {name: (hosts[name[0]], listener.port) for name, listener in gateway.listeners.items()}
        if gateway.management is not None:
            found["management"] = (gateway.settings.management.host, gateway.management.port)
        return found

    @property
    def left_s(self) -> float:
        """Seconds until everything must have ended; the whole time while nothing ends yet."""
        if self._ends_at is None:
            return self._gateway.settings.lifecycle.drain_max_s
        return max(LEAST_S, self._ends_at - self._gateway.clock.monotonic())

    async def started(self) -> None:
        """Return once everything listens."""
        await self._started.wait()

    def stop(self) -> None:
        """Begin to end. Safe to repeat."""
        self._stop.set()

    async def run(self, *, handle_signals: bool = True) -> None:
        """Start, serve until told to stop, end, the databases closed. Raises what kept it from starting, or the task
        that failed.
        """
        gateway = self._gateway
        gateway.northbound.start()
        try:
            await self._serve(handle_signals)
        except BaseExceptionGroup as faults:
            raise _first_of(faults) from None
        finally:
            await gateway.uplink.close()
            gateway.passwords.close()
            registering = (gateway.provisioner, gateway.edge_devices, gateway.announcer)
            await asyncio.gather(*(each.close(within_s=self.left_s / 2) for each in (*registering, gateway.presence)))
            await gateway.northbound.close(deadline_s=self.left_s / 2)
            gateway.store.close(within_s=self.left_s)
            log.info("gateway.stopped")

    async def _serve(self, handle_signals: bool) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(work) for work in self._work()]
            try:
                await self._open_ports()
                if handle_signals:
                    self._handle_signals()
                await self._stop.wait()
            finally:
                await self._drain()
                for task in running:
                    task.cancel()

    def _work(self) -> list[Coroutine[None, None, None]]:
        gateway = self._gateway
        adapters = [adapter for adapter in (gateway.mqtt, gateway.http, gateway.coap) if adapter is not None]
        return [
            gateway.store.feed.run(),
            gateway.announcer.run(),
            gateway.publisher.run(),
            gateway.presence.run(),
            gateway.audit_retention.run(),
            gateway.contexts.run(),
            self._follow_management_certificate(gateway.management_files),
            *(adapter.run() for adapter in adapters),
        ]

    async def _open_ports(self) -> None:
        gateway = self._gateway
        for name, listener in gateway.listeners.items():
            try:
                await listener.start()
            except OSError as fault:
                raise PortUnavailable(name, *self._wanted(name), fault) from fault
        if gateway.management is not None:
            await gateway.management.start()
        gc.freeze()  # what is here by now stays; no collection need look at it again
        self._accepting = True
        self._started.set()
        listening = {name: f"{host}:{port}" for name, (host, port) in self.addresses.items()}
        log.info("gateway.started", extra=fields(**listening))

    def _wanted(self, scheme: str) -> tuple[str, int | None]:
        """Host and port the configuration asks for."""
        settings = self._gateway.settings
        sections: dict[str, AdapterSection] = {"m": settings.mqtt, "h": settings.http, "c": settings.coap}
        section = sections[scheme[0]]
        return section.host, section.port if scheme.endswith("s") else section.insecure_port

    def _listening(self) -> str | None:
        return None if self._accepting else "not-accepting"

    def _registry(self) -> str | None:
        self._gateway.store.feed.catch_up()  # raises StorageUnavailable, whose code is the reason
        return None

    def _message_log(self) -> str | None:
        gateway = self._gateway
        if gateway.northbound.pending >= gateway.settings.messaging.pending_max_messages:
            return "backlog-full"
        return "write-failed" if gateway.northbound.is_failing else None

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_end_signal, number)
        loop.add_signal_handler(signal.SIGHUP, self._reload)

    def _on_end_signal(self, number: signal.Signals) -> None:
        for again in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(again)
            signal.signal(again, signal.SIG_DFL)
        log.info("gateway.stopping", extra=fields(signal=number.name))  # who reads this may send the second signal
        self.stop()

    def _reload(self) -> None:
        self._gateway.contexts.reload()
        self._reload_management()

    def _reload_management(self) -> None:
        if self._gateway.management is not None:
            try:
                self._gateway.management.reload_certificate()
            except TuhonoError as fault:  # it keeps the one it has
                log.error("management.certificate-kept", extra=fields(code=fault.code, detail=str(fault)))

    async def _follow_management_certificate(self, files: Sequence[Path]) -> None:
        """Read the management listener's files again when they change; the edge follows its own."""
        before = _stamps(files)
        while True:
            await asyncio.sleep(self._gateway.settings.edge.reload_check_s)
            now = _stamps(files)
            if now != before:
                before = now
                self._reload_management()

    async def _drain(self) -> None:
        gateway = self._gateway
        self._accepting = False
        self._ends_at = gateway.clock.monotonic() + gateway.settings.lifecycle.drain_max_s
        for listener in gateway.listeners.values():
            listener.stop_accepting()
        within_s = gateway.settings.lifecycle.drain_max_s * DRAIN_SHARE
        drains = [
            adapter.drain(within_s=within_s)
            for adapter in (gateway.mqtt, gateway.http, gateway.coap)
            if adapter is not None
        ]
        await _settled("adapter", *drains)
        await _settled("listener", *(listener.close() for listener in gateway.listeners.values()))
        if gateway.management is not None:
            await _settled("management", gateway.management.close())


async def _settled(what: str, *endings: Awaitable[None]) -> None:
    """Let every one of them end; a fault in one is logged and keeps no other from ending."""
    for outcome in await asyncio.gather(*endings, return_exceptions=True):
        if isinstance(outcome, Exception):
            log.error("drain.failed", exc_info=outcome, extra=fields(what=what))


def _first_of(faults: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ended the others: the first that is no group itself."""
    first = faults.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first


def _stamps(files: Sequence[Path]) -> list[tuple[int, int] | None]:
    """When each file was last written, and its size; None while it is not there."""
    stamps: list[tuple[int, int] | None] = []
    for file in files:
        try:
            found = file.stat()
            stamps.append((found.st_mtime_ns, found.st_size))
        except OSError:
            stamps.append(None)
    return stamps


def prepare_process() -> None:
    """Take as many file descriptors as the system allows, let the writer threads have their turns, and collect
    cycles seldom: messages make none, and looking for them took 8 % of the time of a publish.

    A connection is a descriptor. A busy loop that lets go of the interpreter only for moments starves a
    thread that waits for it by the default 5 ms: 2,000 devices took 7 s to be written beside a spinning loop,
    0.2 s with 0.1 ms.
    """
    sys.setswitchinterval(THREAD_SWITCH_S)
    gc.set_threshold(*COLLECTED_EVERY)
    with suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
