"""`tuhono demo`: the story of a first connection, played live with real devices against a real gateway."""

import asyncio
import contextlib
import shlex
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, TypeVar

import typer
import uvloop

from conf.sections import Settings
from kernel.clock import SystemClock
from tuhono.cli.context import ConfigFile, DataDir, faults_told, settings_of
from tuhono.cli.demo_devices import DeviceFiles, coap_arguments, mosquitto_arguments
from tuhono.cli.demo_story import Story
from tuhono.cli.output import out
from tuhono.cli.serve import start_logging
from tuhono.compose import build_gateway
from tuhono.domain import open_databases
from tuhono.lifecycle import Lifecycle, prepare_process

Found = TypeVar("Found")


def demo(
    exit_: Annotated[
        bool, typer.Option("--exit", help="End after the story: status 0, or 1 if a step failed.")
    ] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Play the story of a first connection live, then keep serving.

    Three unknown devices connect, over MQTT, HTTP and CoAP, and are registered; a stranger is refused;
    the three come back and are recognised. Everything it makes is in DATA/demo; playing it again makes
    three more devices and changes nothing else.
    """
    with faults_told():
        settings = settings_of(config, data_dir)
        start_logging(settings, level="warning")
        prepare_process()
        told_well = uvloop.run(_play(settings, exit_))
    if exit_ and not told_well:
        raise typer.Exit(1)


async def _play(settings: Settings, ends: bool) -> bool:
    clock = SystemClock()
    store = open_databases(settings, clock)
    try:
        lifecycle = Lifecycle(build_gateway(settings, store, clock))
        serving = asyncio.create_task(lifecycle.run(handle_signals=not ends))
        try:
            await _first(lifecycle.started(), serving)
            story = Story(settings=settings, store=store, clock=clock, addresses=lifecycle.addresses)
            told_well = await _first(story.tell(), serving)
            if not ends:
                _print_commands(settings, story.first_device, lifecycle.addresses)
                start_logging(settings)
                await serving
            return told_well
        finally:
            lifecycle.stop()
            await serving
    finally:
        store.close()


async def _first(work: Coroutine[None, None, Found], serving: "asyncio.Task[None]") -> Found:
    """The outcome of the work, unless the gateway ends before; then its fault is the outcome."""
    task = asyncio.create_task(work)
    await asyncio.wait([task, serving], return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await serving
        raise typer.Exit(1)
    return task.result()


def _print_commands(settings: Settings, device: DeviceFiles, addresses: dict[str, tuple[str, int]]) -> None:
    """Commands that work as they stand, from the directory the story was started in."""
    port = {name: address[1] for name, address in addresses.items()}
    files = ["--cacert", device.server_ca, "--cert", device.certificate, "--key", device.key]
    json_type = ["-H", "Content-Type: application/json"]
    url = f"https://localhost:{port['https']}/telemetry"
    body = '{"temp": 23}'
    lines: dict[str, list[object]] = {
        "MQTT": ["mosquitto_pub", *mosquitto_arguments(device, port["mqtts"], body)],
        "HTTP": ["curl", "-i", *files, *json_type, "-d", body, url],
        "CoAP": ["coap-client-openssl", *coap_arguments(device, port["coaps"], body)],
        "Watch": [_program(), "tail", "--data-dir", settings.data_dir],
        "Ask": [_program(), "explain", device.certificate, "--data-dir", settings.data_dir],
    }
    out.print("\n[bold]The gateway keeps serving.[/bold] Copy, paste, in another terminal; Ctrl-C here ends it:\n")
    for name, words in lines.items():
        out.print(f"  # {name}", style="dim")
        out.print("  " + " ".join(shlex.quote(str(word)) for word in words) + "\n", markup=False)


def _program() -> str:
    """How this program was called, so that the commands work without anything on the PATH."""
    beside = Path(sys.executable).with_name("tuhono")
    try:
        return str(beside.relative_to(Path.cwd()))
    except ValueError:
        return str(beside)
