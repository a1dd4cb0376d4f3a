"""A gateway and its story in one process: start, tell, and either end or keep serving."""

import asyncio
import contextlib
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

import typer

from conf.sections import Settings
from kernel.clock import SystemClock
from tuhono.cli.demo_devices import DeviceFiles, coap_arguments, mosquitto_arguments
from tuhono.cli.demo_stage import Stage, program, where
from tuhono.cli.demo_story import Story
from tuhono.cli.errors import FileUnusable, StoryUnplayable
from tuhono.cli.serve import start_logging
from tuhono.compose import build_gateway
from tuhono.domain import open_databases
from tuhono.lifecycle import Lifecycle
from tuhono.operators import ADMIN_KEY_FILE, make_first_operator
from tuhono.server_identity import AUTHORITY_NAME

SCHEMES = ("mqtts", "https", "coaps")
Found = TypeVar("Found")


async def play(settings: Settings, *, server_ca: Path | None, ends: bool) -> bool:
    """Whether every step went well. Raises StoryUnplayable, FileUnusable, and what starting a gateway raises."""
    authority = _authority_of_server(settings, server_ca)
    clock = SystemClock()
    store = open_databases(settings, clock)
    try:
        make_first_operator(settings, store, clock)
        gateway = build_gateway(settings, store, clock)
        missing = [scheme for scheme in SCHEMES if scheme not in gateway.listeners]
        if missing:
            raise StoryUnplayable(f"the story needs MQTT, HTTP and CoAP over TLS; not enabled: {', '.join(missing)}")
        lifecycle = Lifecycle(gateway)
        serving = asyncio.create_task(lifecycle.run(handle_signals=not ends))
        try:
            await _first(lifecycle.started(), serving)
            ports = {scheme: lifecycle.addresses[scheme][1] for scheme in SCHEMES}
            stage = Stage()
            story = Story(settings=settings, store=store, clock=clock, ports=ports, server_ca=authority, stage=stage)
            told_well = await _first(story.tell(), serving)
            if not told_well and server_ca is None and settings.edge.certificate_file is not None:
                stage.say("Do the devices recognise the configured certificate? --server-ca names its CA.")
            if not ends:
                if gateway.management is not None:
                    ports["management"] = gateway.management.port
                _print_commands(stage, settings, story.first_device, ports)
                start_logging(settings)
                await serving
            return told_well
        finally:
            lifecycle.stop()
            await serving
    finally:
        store.close()


def _authority_of_server(settings: Settings, given: Path | None) -> Path:
    """The file devices recognise the gateway by. Raises FileUnusable."""
    if given is not None:
        if not given.is_file():
            raise FileUnusable(f"{given}, given as --server-ca, is no file")
        return given
    configured = settings.edge.certificate_file
    return settings.data_dir / "tls" / AUTHORITY_NAME if configured is None else configured


async def _first(work: Coroutine[None, None, Found], serving: "asyncio.Task[None]") -> Found:
    """The outcome of the work, unless the gateway ends before; then its fault is the outcome."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task, serving], return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    if task.cancelled():
        await serving
        raise typer.Exit(1)
    return task.result()


def _print_commands(stage: Stage, settings: Settings, device: DeviceFiles, ports: dict[str, int]) -> None:
    """Commands that work as they stand, from the directory the story was started in."""
    files = ["--cacert", device.server_ca, "--cert", device.certificate, "--key", device.key]
    body = '{"temp": 23}'
    url = f"https://localhost:{ports['https']}/telemetry"
    data_dir = where(settings.data_dir)
    stage.say("")
    stage.say("The gateway keeps serving. Copy and paste in another terminal, in this", style="bold")
    stage.say("directory; Ctrl-C here ends it.", style="bold")
    commands: dict[str, list[object]] = {
        "MQTT": ["mosquitto_pub", *mosquitto_arguments(device, ports["mqtts"], body)],
        "HTTP": ["curl", "-i", *files, "-H", "Content-Type: application/json", "-d", body, url],
        "CoAP": ["coap-client-openssl", *coap_arguments(device, ports["coaps"], body)],
        "What arrives": [program(), "tail", *data_dir],
        "What would happen": [program(), "explain", device.certificate, *data_dir],
    }
    key_file = settings.data_dir / ADMIN_KEY_FILE
    if "management" in ports and settings.management.certificate_file is None and key_file.exists():
        api = f"https://localhost:{ports['management']}"
        login = [program(), "login", "--url", api, "--ca", device.server_ca]
        commands["Administer from afar"] = [*login, "--key-file", key_file]
    for name, words in commands.items():
        stage.say("")
        stage.command(words, above=name)
    stage.say("")
