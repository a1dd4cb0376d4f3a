"""While strangers come by the hundred, a device that is connected already goes on being served.

Nothing here measures seconds: what counts is how much of one thing happens while another does.
"""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.abuse import client_hello, crowd
from tests.support.certificates import Issued, make_ca, new_key
from tests.support.fleet import CoapDevice, Device, HttpDevice, defects, open_mqtt, present, tls_context
from tests.support.gateway import RunningGateway, running_gateway

REPOSITORY = Path(__file__).parents[2]
STRANGERS = 300
ROUND_TRIPS_MIN = 15  # of one device while they come
IN_BETWEEN_MIN = 4  # of one device while 300 hellos are answered; one where they are taken in one go
PAUSE_MAX_SHARE = 0.4  # of the storm that one round trip may take at most


class Storm:
    """Strangers in a process of their own, so that their work is not mistaken for the gateway's."""

    def __init__(self, child: Process) -> None:
        self._child = child
        self.codes: list[str] = []

    async def break_out(self) -> None:
        """Return when the last of them has its CONNACK."""
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.write(b"go\n")
        while (line := (await self._child.stdout.readline()).decode().strip()) != "done":
            assert line, "the storm died down"
            self.codes.append(line)


@asynccontextmanager
async def storm(gateway: RunningGateway, ca: Issued, folder: Path) -> AsyncIterator[Storm]:
    write_certificates(gateway, ca, folder)
    command = [sys.executable, "-m", "tests.support.storm", gateway.ports["mqtts"], folder, STRANGERS]
    child = await asyncio.create_subprocess_exec(*map(str, command), cwd=REPOSITORY, stdin=PIPE, stdout=PIPE)
    try:
        assert child.stdout is not None and child.stdin is not None
        assert await child.stdout.readline() == b"ready\n"
        yield Storm(child)
    finally:
        assert child.stdin is not None
        child.stdin.close()
        await child.wait()


def write_certificates(gateway: RunningGateway, ca: Issued, folder: Path) -> None:
    folder.mkdir()
    key = new_key()
    (folder / "ca.pem").write_bytes(gateway.server_ca.read_bytes())
    for number in range(STRANGERS):
        issued = ca.issue(f"CN=stranger-{number}", key=key)
        (folder / f"device-{number}.pem").write_bytes(issued.pem)
    (folder / "device.key").write_bytes(issued.key_pem)


async def round_trips(device: Device, until_done: "asyncio.Task[None]") -> list[float]:
    """How long each acknowledged message took, one after the other, until the storm is over."""
    taken = []
    while not until_done.done():
        begun = time.monotonic()
        assert await device.say(b"as ever")
        taken.append(time.monotonic() - begun)
    return taken


async def test_300_strangers_do_not_keep_connected_devices_waiting(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway:
        ca = make_ca("CN=CA")
        gateway.trust("acme", ca, may_auto_provision=True)
        mqtt = await open_mqtt(gateway, ca.issue("CN=mqtt"))
        http = await HttpDevice.open(gateway, ca.issue("CN=http"))
        coap = await CoapDevice.open(gateway, ca.issue("CN=coap"))
        async with present(mqtt, http, coap), storm(gateway, ca, tmp_path / "strangers") as strangers:
            for device in (mqtt, http, coap):
                assert await device.say(b"before")
            begun = time.monotonic()
            raging = asyncio.create_task(strangers.break_out())
            trips = await asyncio.gather(*(round_trips(device, raging) for device in (mqtt, http, coap)))
            lasted = time.monotonic() - begun
            await raging
        assert strangers.codes == ["0"] * STRANGERS
        for taken in trips:
            assert len(taken) >= ROUND_TRIPS_MIN, f"{len(taken)} in {lasted:.2f} s"
            assert max(taken) <= PAUSE_MAX_SHARE * lasted, f"{max(taken):.3f} s of {lasted:.2f} s"
        assert len(gateway.device_ids("acme")) == STRANGERS + 3
        assert defects(gateway) == []


async def test_300_hellos_in_the_same_instant_are_answered_in_between_messages(tmp_path: Path) -> None:
    """All of them are readable at once: who takes them in one go answers no message before the last is done."""
    with running_gateway(tmp_path) as gateway:
        ca = make_ca("CN=CA")
        gateway.trust("acme", ca, may_auto_provision=True)
        live = await open_mqtt(gateway, ca.issue("CN=live"))
        hello = client_hello(tls_context(gateway, None))
        loop = asyncio.get_running_loop()
        async with present(live), crowd(gateway.ports["mqtts"], STRANGERS) as socks:
            assert await live.say(b"before")
            answers = [asyncio.ensure_future(loop.sock_recv(sock, 1)) for sock in socks]
            await asyncio.sleep(0)
            for sock in socks:
                sock.send(hello)
            served = 0
            while not all(answer.done() for answer in answers):
                assert await live.say(b"in between")
                served += 1
            assert [await answer for answer in answers] == [b"\x16"] * STRANGERS  # a handshake record each
        assert served >= IN_BETWEEN_MIN
        assert defects(gateway) == []
