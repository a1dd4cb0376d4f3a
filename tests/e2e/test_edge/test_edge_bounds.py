"""The edge under strangers: storms, silence, garbage, and what each of them may not do to others."""

import asyncio
import logging
import random
import socket
import time
from pathlib import Path

import pytest

from conf.edge import EdgeSettings
from tests.support.edge import DtlsClient, TestBench, hang_up
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


async def test_a_storm_of_connects_refuses_nobody_and_does_not_stall_others(bench: TestBench) -> None:
    async with bench.stream_listener() as listener:
        reader, writer = await bench.connect(listener.port)
        context = bench.client_context()
        storm = asyncio.gather(*(bench.connect(listener.port, context=context) for _ in range(300)))
        pauses = []
        while not storm.done():
            asked = time.monotonic()
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            pauses.append(time.monotonic() - asked)
        strangers = await storm
        await until(lambda: listener.connections == 301)
        assert bench.witness.failures == []
        assert len(pauses) >= 10  # the established peer was served again and again meanwhile
        for _, stranger in strangers:
            stranger.transport.abort()
        await hang_up(writer)


async def test_silent_connections_neither_stop_the_next_device_nor_stay(tmp_path: Path) -> None:
    bench = TestBench(tmp_path, settings=EdgeSettings(handshake_deadline_s=2.0))
    async with bench.stream_listener() as listener:
        silent = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(300)]
        reader, writer = await bench.connect(listener.port)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        await until(lambda: len(bench.witness.failures) == 300, every_s=0.02)
        assert set(bench.witness.failures) == {"handshake-timeout"}
        assert listener.handshakes == 0
        for sock in silent:
            sock.close()
        await hang_up(writer)


async def test_beyond_handshakes_max_the_longest_silent_one_makes_room(tmp_path: Path) -> None:
    bench = TestBench(tmp_path, settings=EdgeSettings(handshakes_max=16))
    async with bench.stream_listener() as listener:
        silent = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(16)]
        await until(lambda: listener.handshakes == 16)
        reader, writer = await bench.connect(listener.port)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        assert bench.witness.failures == ["made-room"]
        silent[0].settimeout(5)
        assert silent[0].recv(1) == b""
        silent[1].setblocking(False)
        with pytest.raises(BlockingIOError):
            silent[1].recv(1)
        for sock in silent:
            sock.close()
        await hang_up(writer)


async def test_many_more_than_handshakes_max_are_all_served_in_the_end(tmp_path: Path) -> None:
    bench = TestBench(tmp_path, settings=EdgeSettings(handshakes_max=16))
    async with bench.stream_listener() as listener:
        context = bench.client_context()
        strangers = await asyncio.gather(*(_connect_and_ask(bench, listener.port, context) for _ in range(64)))
        assert all(strangers)
        assert bench.witness.failures == []


async def test_beyond_connections_max_a_peer_is_turned_away(tmp_path: Path) -> None:
    bench = TestBench(tmp_path, settings=EdgeSettings(connections_max=2))
    async with bench.stream_listener(secure=False) as listener:
        first = await asyncio.open_connection("127.0.0.1", listener.port)
        second = await asyncio.open_connection("127.0.0.1", listener.port)
        await until(lambda: listener.connections == 2)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        for _, each in (first, second):
            await hang_up(each)
        await until(lambda: listener.connections == 0)
        third_reader, third = await asyncio.open_connection("127.0.0.1", listener.port)
        third.write(b"x")
        assert await third_reader.readexactly(1) == b"x"
        await hang_up(third)
        await hang_up(writer)


@pytest.mark.parametrize(
    ("opening", "word"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "not-tls"),
        (b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", "not-tls"),
        (b"\x16\x03\x01\xff\xff" + b"x" * 100, "protocol-error"),
    ],
)
async def test_what_is_no_tls_is_named_and_dropped(bench: TestBench, opening: bytes, word: str) -> None:
    async with bench.stream_listener() as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(opening)
        await reader.read(-1)
        await until(lambda: bench.witness.failures == [word])
        await hang_up(writer)


async def test_a_peer_that_closes_in_its_handshake_is_named(bench: TestBench) -> None:
    async with bench.stream_listener() as listener:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"\x16\x03\x01\x02\x00")  # the header of a record that never comes
        await hang_up(writer)
        await until(lambda: bench.witness.failures == ["peer-closed"])


async def test_fuzzed_openings_cost_nobody_else_anything(bench: TestBench, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(7)
    async with bench.stream_listener() as listener:
        hello = await _real_hello(bench)
        for _ in range(150):
            damaged = bytearray(hello)
            for _ in range(chance.randint(1, 8)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(bytes(damaged[: chance.randint(1, len(damaged))]))
            writer.transport.abort() if chance.random() < 0.5 else writer.write_eof()
            await hang_up(writer)
        reader, writer = await bench.connect(listener.port)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        await hang_up(writer)
        await until(lambda: listener.handshakes == 0)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_bytes_damaged_within_a_session_end_that_session_only(bench: TestBench) -> None:
    async with bench.stream_listener() as listener:
        relay = await asyncio.start_server(lambda r, w: _damaging_relay(r, w, listener.port), "127.0.0.1", 0)
        port = relay.sockets[0].getsockname()[1]
        reader, writer = await bench.connect(port)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        writer.write(b"DAMAGE" * 100)
        await until(lambda: bench.recorders and bench.recorders[0].losses)
        assert getattr(bench.recorders[0].losses[0], "code", None) == "tls-broken"
        await hang_up(writer)
        relay.close()


async def test_fuzzed_datagrams_change_nothing(bench: TestBench, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(11)
    async with bench.datagram_listener() as listener:
        device = DtlsClient(listener.port, device=bench.device)
        seen: list[bytes] = []

        def keep(record: bytes) -> bool:
            seen.append(record)
            return False

        device._lose = keep
        await device.connect()
        assert await device.ask(b"before") == b"echo before"
        for _ in range(600):
            damaged = bytearray(chance.choice(seen))
            for _ in range(chance.randint(0, 6)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            device.sock.send(bytes(damaged[: chance.randint(1, len(damaged))]))
        stranger = DtlsClient(listener.port, device=None)
        for _ in range(300):
            damaged = bytearray(chance.choice(seen))
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            stranger.sock.send(bytes(damaged))
        other = DtlsClient(listener.port, device=bench.device)
        await other.connect()
        while (answer := await device.ask(b"after")) != b"echo after":
            assert answer.startswith(b"echo")
        assert bench.datagrams.closed_ones == []
        for client in (device, stranger, other):
            client.close()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def _connect_and_ask(bench: TestBench, port: int, context) -> bool:  # type: ignore[no-untyped-def]
    try:
        reader, writer = await bench.connect(port, context=context)
    except OSError:
        return False
    try:
        writer.write(b"x")
        return await reader.readexactly(1) == b"x"
    except (OSError, asyncio.IncompleteReadError):
        return False
    finally:
        writer.transport.abort()


async def _real_hello(bench: TestBench) -> bytes:
    """What the standard library's client says first."""
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set_result(await reader.read(4096))
        writer.transport.abort()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    with pytest.raises(OSError):
        await bench.connect(server.sockets[0].getsockname()[1])
    server.close()
    return await heard


async def _damaging_relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Passes bytes on, and flips one in the middle of every long chunk from the client once the handshake is over."""
    upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", port)

    async def back() -> None:
        while chunk := await upstream_reader.read(65_536):
            writer.write(chunk)
        writer.close()

    task = asyncio.create_task(back())
    chunks = 0
    while chunk := await reader.read(65_536):
        chunks += 1
        if chunks > 3 - (chunks == 3) and len(chunk) > 500 and chunk[0] == 23 and chunks > 2:
            middle = len(chunk) // 2
            chunk = chunk[:middle] + bytes([chunk[middle] ^ 1]) + chunk[middle + 1 :]
        upstream.write(chunk)
    upstream.close()
    await task
