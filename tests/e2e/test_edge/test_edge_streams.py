"""TLS and plain TCP at the edge, with real sockets and the standard library's client."""

import asyncio
import errno
import logging
import socket
import ssl
import struct
from pathlib import Path

import pytest
from OpenSSL import SSL

from adapters.edge import engine
from adapters.edge.poller import Poller
from adapters.edge.ports import Stream
from adapters.edge.stream import SocketStream
from conf.edge import EdgeSettings
from pki.errors import CertificateExpired, ChainTooLarge
from tenant.errors import UntrustedIssuer
from tests.support.certificates import make_ca, make_self_signed
from tests.support.edge import Recorder, TestBench, hang_up
from tests.support.waiting import until


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_device_with_a_certificate_exchanges_bytes(bench: TestBench, version: ssl.TLSVersion) -> None:
    async with bench.stream_listener() as listener:
        reader, writer = await bench.connect(
            listener.port, context=bench.client_context(version=version), server_name="tenant.example.com"
        )
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        stream = bench.recorders[0].stream
        assert stream is not None
        assert stream.peer.tls_version == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
        assert stream.peer.server_name == "tenant.example.com"
        assert stream.peer.handshake_ms > 0
        assert stream.peer.certificate is not None
        assert stream.peer.certificate.chain_der == (bench.device.der,)
        await hang_up(writer)
        await until(lambda: bench.recorders[0].losses == [None])
        assert bench.recorders[0].has_ended
    assert [(chain, name) for chain, name, _ in bench.judge.asked] == [([bench.device.der], "tenant.example.com")]


@pytest.mark.parametrize("kind", ["ec256", "ec384", "ed25519", "rsa2048"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_device_keys_of_every_kind_are_taken(
    bench: TestBench, tmp_path: Path, kind: str, version: ssl.TLSVersion
) -> None:
    files = make_ca().issue("CN=dev", key=kind).write(tmp_path, "other")
    context = bench.client_context(device=False, version=version)
    context.load_cert_chain(files.certificate, files.key)
    async with bench.stream_listener() as listener:
        reader, writer = await bench.connect(listener.port, context=context)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        await hang_up(writer)


async def test_a_peer_without_certificate_is_let_in_unless_one_is_required(bench: TestBench) -> None:
    async with bench.stream_listener() as listener:
        reader, writer = await bench.connect(listener.port, context=bench.client_context(device=False))
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        stream = bench.recorders[0].stream
        assert stream is not None and stream.peer.certificate is None
        assert stream.peer.server_name == "localhost"
        await hang_up(writer)
    assert bench.judge.asked == []


@pytest.mark.parametrize(
    ("version", "alert"),
    [(ssl.TLSVersion.TLSv1_2, "HANDSHAKE_FAILURE"), (ssl.TLSVersion.TLSv1_3, "CERTIFICATE_REQUIRED")],
)
async def test_a_peer_without_the_required_certificate_reads_why(
    bench: TestBench, version: ssl.TLSVersion, alert: str
) -> None:
    async with bench.stream_listener(certificate_required=True) as listener:
        with pytest.raises(ssl.SSLError, match=alert):
            await _ask(bench, listener.port, bench.client_context(device=False, version=version))
        await until(lambda: bench.witness.failures)
    assert bench.witness.failures == ["certificate-required"]
    assert bench.recorders == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_fatal_verdict_ends_the_handshake_with_a_fitting_alert(
    bench: TestBench, version: ssl.TLSVersion
) -> None:
    bench.judge.refusal, bench.judge.fatal = CertificateExpired("expired"), True
    async with bench.stream_listener() as listener:
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_EXPIRED"):
            await _ask(bench, listener.port, bench.client_context(version=version))
        await until(lambda: bench.witness.refusals)
    address, chain, name, verdict = bench.witness.refusals[0]
    assert (address.host, chain, name) == ("127.0.0.1", [bench.device.der], "localhost")
    assert isinstance(verdict.refusal, CertificateExpired)
    assert bench.witness.failures == []
    assert len(bench.judge.asked) == 1


async def test_any_other_refusal_travels_with_the_peer(bench: TestBench) -> None:
    bench.judge.refusal = UntrustedIssuer("CN=nobody")
    async with bench.stream_listener() as listener:
        await _ask(bench, listener.port, bench.client_context())
        stream = bench.recorders[0].stream
        assert stream is not None and stream.peer.certificate is not None
        assert isinstance(stream.peer.certificate.verdict.refusal, UntrustedIssuer)
    assert bench.witness.refusals == []


async def test_where_the_listener_says_so_every_refusal_ends_the_handshake(bench: TestBench) -> None:
    bench.judge.refusal = UntrustedIssuer("CN=nobody")
    async with bench.stream_listener(refuse_in_handshake=True) as listener:
        with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
            await _ask(bench, listener.port, bench.client_context())
        await until(lambda: bench.witness.refusals)


async def test_a_judge_that_raises_is_logged_and_fails_that_handshake_only(
    bench: TestBench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.judge.defect = RuntimeError("bug")
    async with bench.stream_listener() as listener:
        with pytest.raises(ssl.SSLError, match="INTERNAL_ERROR"):
            await _ask(bench, listener.port, bench.client_context())
        await until(lambda: bench.witness.failures)
        bench.judge.defect = None
        await _ask(bench, listener.port, bench.client_context())
    assert bench.witness.failures == ["internal"]
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == [
        "handshake.judge-failed"
    ]


async def test_a_handshake_that_cannot_be_watched_is_our_failure_and_not_the_peers(
    bench: TestBench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room for another")

    monkeypatch.setattr(Poller, "want", fail)
    async with bench.stream_listener() as listener:
        with pytest.raises((OSError, ssl.SSLError, EOFError)):
            await _ask(bench, listener.port, bench.client_context())
        await until(lambda: bench.witness.failures)
    assert bench.witness.failures == ["internal"]
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == ["handshake.defective"]


async def test_the_whole_chain_as_sent_is_judged_out_of_order_and_unrelated_ones_included(
    bench: TestBench, tmp_path: Path
) -> None:
    upper = make_ca("CN=Root").issue_ca("CN=Upper")
    lower = upper.issue_ca("CN=Lower")
    device = lower.issue("CN=dev")
    unrelated = make_ca("CN=Unrelated")
    sent = (device, upper, unrelated, lower)
    (tmp_path / "sent.pem").write_bytes(b"".join(each.pem for each in sent))
    (tmp_path / "sent.key").write_bytes(device.key_pem)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = bench.client_context(device=False, version=version)
        context.load_cert_chain(tmp_path / "sent.pem", tmp_path / "sent.key")
        async with bench.stream_listener() as listener:
            await _ask(bench, listener.port, context)
    assert [chain for chain, _, _ in bench.judge.asked] == [[each.der for each in sent]] * 2


async def test_more_certificates_than_allowed_are_refused_though_the_judge_would_take_them(
    tmp_path: Path,
) -> None:
    bench = TestBench(tmp_path, settings=EdgeSettings(chain_max_certificates=3))
    extra = b"".join(make_ca(f"CN=Extra {number}").pem for number in range(3))
    (tmp_path / "sent.pem").write_bytes(bench.device.pem + extra)
    context = bench.client_context(device=False)
    context.load_cert_chain(tmp_path / "sent.pem", bench.device_files.key)
    async with bench.stream_listener() as listener:
        await _ask(bench, listener.port, context)
    stream = bench.recorders[0].stream
    assert stream is not None and stream.peer.certificate is not None
    assert isinstance(stream.peer.certificate.verdict.refusal, ChainTooLarge)
    assert stream.peer.certificate.verdict.anchor is None
    assert len(stream.peer.certificate.chain_der) == 3


async def test_a_self_signed_device_certificate_reaches_the_judge(bench: TestBench, tmp_path: Path) -> None:
    files = make_self_signed("CN=alone").write(tmp_path, "alone")
    context = bench.client_context(device=False)
    context.load_cert_chain(files.certificate, files.key)
    async with bench.stream_listener() as listener:
        await _ask(bench, listener.port, context)
    assert len(bench.judge.asked) == 1


async def test_much_data_arrives_whole_in_both_directions(bench: TestBench) -> None:
    sent = bytes(range(256)) * 4096  # 1 MiB, in records of 16 KiB
    async with bench.stream_listener() as listener:
        reader, writer = await bench.connect(listener.port)
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent
        await hang_up(writer)


async def test_what_comes_with_the_end_of_the_handshake_is_heard_and_never_lies_in_openssl_in_whole(
    bench: TestBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A memory BIO keeps the size of the most it ever held: 110 KiB a connection, for 48 KiB at once."""
    most = 0
    feed = engine.feed_intake

    def measured(connection: engine.Connection, start: int, count: int) -> int:
        nonlocal most
        fed = feed(connection, start, count)
        most = max(most, engine.LIB.BIO_get_mem_data(connection._into_ssl, engine.FFI.new("char **")))
        return fed

    monkeypatch.setattr(engine, "feed_intake", measured)
    sent = bytes(range(256)) * 192
    async with bench.stream_listener() as listener:
        await asyncio.to_thread(_send_with_the_handshake, listener.port, sent)
        await until(lambda: bench.recorders and bench.recorders[0].received_bytes == sent)
    assert most <= 2 * engine.SLICE_BYTES


async def test_a_peer_that_does_not_read_is_dropped_at_the_bound(tmp_path: Path) -> None:
    bench = TestBench(tmp_path, settings=EdgeSettings(write_buffer_max_bytes=65_536))
    async with bench.stream_listener() as listener:
        reader, writer = await bench.connect(listener.port)
        stream = await _stream(bench)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        while not stream.is_closing:
            stream.write(b"x" * 16_384)
        await until(lambda: bench.recorders[0].losses)
        assert getattr(bench.recorders[0].losses[0], "code", "") == "peer-does-not-read"
        writer.transport.abort()


async def test_what_was_written_before_close_arrives_then_the_goodbye(tmp_path: Path) -> None:
    bench = TestBench(tmp_path, settings=EdgeSettings(write_buffer_max_bytes=8_000_000))
    async with bench.stream_listener() as listener:
        reading = asyncio.create_task(asyncio.to_thread(_read_everything, listener.port, bench.client_context()))
        stream = await _stream(bench)
        answer = b"y" * 6_000_000  # more than the kernel takes at once
        stream.write(answer)
        stream.close()
        stream.close()
        stream.write(b"too late")
        assert stream.is_closing
        assert await reading == answer
        await until(lambda: bench.recorders[0].losses == [None])


async def test_an_answer_outlives_bytes_still_unread(bench: TestBench) -> None:
    def refuse() -> Recorder:
        recorder = Recorder(answer=lambda data: b"no")
        bench.recorders.append(recorder)
        received = recorder.received

        def close_at_once(data: bytes) -> None:
            received(data)
            assert recorder.stream is not None
            recorder.stream.close()

        recorder.received = close_at_once  # type: ignore[method-assign]
        return recorder

    async with bench.stream_listener(factory=refuse) as listener:
        reader, writer = await bench.connect(listener.port)
        writer.write(b"z" * 2_000_000)  # the server reads the first record only
        assert await reader.read(-1) == b"no"
        await hang_up(writer)


async def test_closing_is_bounded_when_the_peer_never_reads(tmp_path: Path) -> None:
    bench = TestBench(tmp_path, settings=EdgeSettings(close_deadline_s=0.3, write_buffer_max_bytes=64_000_000))
    async with bench.stream_listener() as listener:
        reader, writer = await bench.connect(listener.port)
        stream = await _stream(bench)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        stream.write(b"x" * 32_000_000)
        stream.close()
        await until(lambda: bench.recorders[0].losses)
        assert listener.connections == 0
        writer.transport.abort()


async def test_reading_pauses_and_resumes_without_losing_a_byte(bench: TestBench) -> None:
    async with bench.stream_listener() as listener:
        reader, writer = await bench.connect(listener.port)
        stream = await _stream(bench)
        stream.pause_reading()
        writer.write(b"a" * 300_000)
        marker_reader, marker_writer = await bench.connect(listener.port)
        marker_writer.write(b"x")
        await marker_reader.readexactly(1)  # the loop went round; the paused stream saw nothing
        assert bench.recorders[0].received_bytes == b""
        stream.resume_reading()
        assert await reader.readexactly(300_000) == b"a" * 300_000
        await hang_up(writer)
        await hang_up(marker_writer)


async def test_pausing_within_received_holds_what_is_still_to_come(bench: TestBench) -> None:
    async with bench.stream_listener() as listener:
        reader, writer = await bench.connect(listener.port)
        stream = await _stream(bench)
        recorder = bench.recorders[0]
        received = recorder.received

        def once(data: bytes) -> None:
            received(data)
            stream.pause_reading()

        recorder.received = once  # type: ignore[method-assign]
        writer.write(b"a" * 16_384)
        writer.write(b"b" * 16_384)
        assert await reader.readexactly(16_384) == b"a" * 16_384
        assert recorder.chunks == 1
        stream.resume_reading()
        assert await reader.readexactly(16_384) == b"b" * 16_384
        stream.resume_reading()  # a paused stream would not see the goodbye either
        await hang_up(writer)


async def test_a_paused_stream_neither_spins_nor_hears_of_the_reset_before_it_reads_again(
    bench: TestBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    on_ready = SocketStream._on_ready

    def counted(self: SocketStream, events: int) -> None:
        nonlocal calls
        calls += 1
        on_ready(self, events)

    monkeypatch.setattr(SocketStream, "_on_ready", counted)
    async with bench.stream_listener(secure=False) as listener:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        stream = await _stream(bench)
        stream.pause_reading()
        writer.write(b"never read")
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await until(lambda: calls)
        for _ in range(20):
            await asyncio.sleep(0)
        assert calls <= 2
        assert bench.recorders[0].losses == []
        stream.resume_reading()
        await until(lambda: bench.recorders[0].losses)
        assert getattr(bench.recorders[0].losses[0], "code", None) == "peer-vanished"


@pytest.mark.parametrize("secure", [True, False])
async def test_a_reset_is_told_once_with_its_fault(bench: TestBench, secure: bool) -> None:
    async with bench.stream_listener(secure=secure) as listener:
        if secure:
            _, writer = await bench.connect(listener.port)
        else:
            _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        await until(lambda: bench.recorders)
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await until(lambda: bench.recorders[0].losses)
    assert [getattr(fault, "code", None) for fault in bench.recorders[0].losses] == ["peer-vanished"]


@pytest.mark.parametrize("defect", [ZeroDivisionError, FileNotFoundError])
async def test_a_handler_that_raises_costs_its_own_connection_only(
    bench: TestBench, caplog: pytest.LogCaptureFixture, defect: type[Exception]
) -> None:
    def faulty(data: bytes) -> bytes:
        if data == b"bad":
            raise defect
        return data

    def factory() -> Recorder:
        bench.recorders.append(Recorder(answer=faulty))
        return bench.recorders[-1]

    async with bench.stream_listener(factory=factory) as listener:
        good_reader, good_writer = await bench.connect(listener.port)
        reader, writer = await bench.connect(listener.port)
        await until(lambda: len(bench.recorders) == 2)
        writer.write(b"bad")
        assert await _read_to_end(reader) == b""
        good_writer.write(b"good")
        assert await good_reader.readexactly(4) == b"good"
        await until(lambda: any(recorder.losses for recorder in bench.recorders))
        await hang_up(writer)
        await hang_up(good_writer)
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.message for record in logged] == ["stream.handler-failed"]
    assert logged[0].exc_info is not None


async def test_plain_tcp_half_closes_and_still_reads_the_answer(bench: TestBench) -> None:
    async with bench.stream_listener(secure=False) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"question")
        writer.write_eof()
        assert await reader.read(-1) == b"question"
        await until(lambda: bench.recorders[0].losses == [None])
        await hang_up(writer)


async def test_stop_accepting_keeps_connections_and_frees_the_port(bench: TestBench) -> None:
    async with bench.stream_listener() as listener:
        reader, writer = await bench.connect(listener.port)
        listener.stop_accepting()
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"still here")
        assert await reader.readexactly(10) == b"still here"
        await hang_up(writer)


async def test_close_says_goodbye_to_everyone(bench: TestBench) -> None:
    async with bench.stream_listener() as listener:
        reader, writer = await bench.connect(listener.port)
        await _stream(bench)
    assert await reader.read(-1) == b""
    await until(lambda: bench.recorders[0].losses == [None])
    await hang_up(writer)


async def _stream(bench: TestBench) -> Stream:
    await until(lambda: bench.recorders and bench.recorders[0].stream is not None)
    stream = bench.recorders[0].stream
    assert stream is not None
    return stream


async def _ask(bench: TestBench, port: int, context: ssl.SSLContext) -> None:
    """Connect and exchange a byte: TLS 1.3 tells a client of its refusal only after its handshake."""
    reader, writer = await bench.connect(port, context=context)
    try:
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
    finally:
        await hang_up(writer)


def _send_with_the_handshake(port: int, data: bytes) -> None:
    """In one packet stream with the client's last flight, and close."""
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
    client.set_connect_state()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        while True:
            try:
                client.do_handshake()
                break
            except SSL.WantReadError:
                sock.sendall(engine.take_output(client))
                client.bio_write(sock.recv(65_536))
        for at in range(0, len(data), 16_384):
            client.send(data[at : at + 16_384])
        client.shutdown()
        sock.sendall(engine.take_output(client))


def _read_everything(port: int, context: ssl.SSLContext) -> bytes:
    """Until close_notify: the standard library raises for anything less."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        with context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False) as secure:
            taken = bytearray()
            while chunk := secure.recv(65_536):
                taken += chunk
            return bytes(taken)


async def _read_to_end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(-1)
    except (OSError, ssl.SSLError):
        return b""
