"""The edge with TLS and DTLS clients nobody here wrote: OpenSSL's, GnuTLS's, libcoap's."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pki.errors import CertificateExpired, SignatureInvalid
from tests.support.edge import TestBench
from tests.support.waiting import until


@pytest.fixture
def bench(tmp_path: Path) -> TestBench:
    return TestBench(tmp_path)


class Client:
    """A program on the other end of a pipe; its output is read as it comes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.output = bytearray()

    def say(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)

    async def follow(self) -> None:
        assert self._process.stdout is not None
        while chunk := await self._process.stdout.read(65_536):
            self.output += chunk

    def finish(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def ended(self) -> str:
        async with asyncio.timeout(15):
            await self._process.wait()
        return self.output.decode(errors="replace")


@contextlib.asynccontextmanager
async def running(*command: object) -> AsyncIterator[Client]:
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    client = Client(process)
    following = asyncio.create_task(client.follow())
    try:
        yield client
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await following


def s_client(bench: TestBench, port: int, *options: object) -> tuple[object, ...]:
    files = bench.device_files
    return (
        *("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", bench.ca_file),
        *("-cert", files.certificate, "-key", files.key, *options),
    )


@pytest.mark.needs_tool("openssl")
@pytest.mark.parametrize("options", [("-tls1_3",), ("-tls1_2",), ("-tls1_3", "-noservername")])
async def test_openssl_exchanges_bytes_and_is_offered_no_ticket(bench: TestBench, options: tuple[str, ...]) -> None:
    async with bench.stream_listener() as listener:
        async with running(*s_client(bench, listener.port, "-msg", *options)) as client:
            client.say(b"hello\n")
            await until(lambda: bench.recorders and bench.recorders[0].received_bytes == b"hello\n", every_s=0.01)
            await until(lambda: client.output.count(b"\nhello\n"), every_s=0.01)
            client.finish()
            said = await client.ended()
    assert "Verify return code: 0 (ok)" in said
    assert "CertificateRequest" in said
    assert "NewSessionTicket" not in said
    assert "No client certificate CA names sent" in said
    assert len(bench.judge.asked) == 1


@pytest.mark.needs_tool("openssl")
async def test_openssl_never_resumes_a_session(bench: TestBench) -> None:
    async with bench.stream_listener() as listener:
        async with running(*s_client(bench, listener.port, "-tls1_2", "-reconnect")) as client:
            await until(lambda: len(bench.judge.asked) == 6, every_s=0.01)
            client.finish()
            said = await client.ended()
    assert "Reused" not in said
    assert said.count("New, TLSv1.2") == 6


@pytest.mark.needs_tool("openssl")
async def test_openssl_may_not_renegotiate(bench: TestBench) -> None:
    async with bench.stream_listener() as listener:
        async with running(*s_client(bench, listener.port, "-tls1_2")) as client:
            await until(lambda: bench.recorders, every_s=0.01)
            client.say(b"R\n")
            said = await client.ended()
    assert "no renegotiation" in said
    assert len(bench.judge.asked) == 1


@pytest.mark.needs_tool("openssl")
@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
async def test_old_versions_are_refused(bench: TestBench, version: str) -> None:
    async with bench.stream_listener() as listener:
        async with running(*s_client(bench, listener.port, version, "-cipher", "ALL:@SECLEVEL=0")) as client:
            said = await client.ended()
        await until(lambda: bench.witness.failures)
    assert "alert protocol version" in said
    assert bench.witness.failures == ["version-unsupported"]


@pytest.mark.needs_tool("openssl")
async def test_suites_without_forward_secrecy_are_refused(bench: TestBench) -> None:
    async with bench.stream_listener() as listener:
        async with running(*s_client(bench, listener.port, "-tls1_2", "-cipher", "AES128-SHA256")) as client:
            said = await client.ended()
        await until(lambda: bench.witness.failures)
    assert "alert handshake failure" in said
    assert bench.witness.failures == ["no-shared-cipher"]


@pytest.mark.needs_tool("openssl")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_sha1_signatures_are_not_offered(bench: TestBench, version: str) -> None:
    async with bench.stream_listener() as listener:
        async with running(*s_client(bench, listener.port, version)) as client:
            await until(lambda: bench.recorders, every_s=0.01)
            client.finish()
            said = await client.ended()
    requested = re.search(r"Requested Signature Algorithms: (.*)", said)
    assert requested is not None
    assert "SHA256" in requested[1] and "SHA1" not in requested[1]


@pytest.mark.needs_tool("openssl")
async def test_dtls_shuts_sha1_signatures_out_though_its_level_is_low(bench: TestBench) -> None:
    async with bench.datagram_listener() as listener:
        async with running(*s_client(bench, listener.port, "-dtls1_2")) as client:
            await until(lambda: bench.datagrams.opened_ones, every_s=0.01)
            client.finish()
            said = await client.ended()
        command = s_client(bench, listener.port, "-dtls1_2", "-sigalgs", "ECDSA+SHA1", "-cipher", "ALL:@SECLEVEL=0")
        async with running(*command) as client:
            refused = await client.ended()
    requested = re.search(r"Requested Signature Algorithms: (.*)", said)
    assert requested is not None and "SHA1" not in requested[1]
    assert "handshake failure" in refused
    assert bench.witness.failures == ["no-shared-signature-algorithm"]


@pytest.mark.needs_tool("openssl")
async def test_openssl_with_a_version_1_certificate(bench: TestBench, tmp_path: Path) -> None:
    ca = bench.device_ca.write(tmp_path, "device-ca")
    request, certificate = tmp_path / "v1.csr", tmp_path / "v1.pem"
    key = bench.device_files.key
    await _run("openssl", "req", "-new", "-key", key, "-subj", "/CN=old", "-out", request)
    sign = ("openssl", "x509", "-req", "-in", request, "-CA", ca.certificate, "-CAkey", ca.key, "-CAcreateserial")
    await _run(*sign, "-days", "30", "-out", certificate)
    assert "Version: 1 (0x0)" in await _run("openssl", "x509", "-in", certificate, "-noout", "-text")
    for version in ("-tls1_2", "-tls1_3"):
        async with bench.stream_listener() as listener:
            command = ("openssl", "s_client", "-connect", f"127.0.0.1:{listener.port}", version)
            async with running(*command, "-cert", certificate, "-key", key) as client:
                client.say(b"x\n")
                await until(lambda: bench.recorders and bench.recorders[-1].received_bytes, every_s=0.01)
                client.finish()
                await client.ended()
    assert len(bench.judge.asked) == 2


@pytest.mark.needs_tool("openssl")
async def test_openssl_exchanges_datagrams(bench: TestBench) -> None:
    async with bench.datagram_listener() as listener:
        async with running(*s_client(bench, listener.port, "-dtls1_2")) as client:
            client.say(b"hello\n")
            await until(lambda: client.output.count(b"echo hello\n"), every_s=0.01)
            client.finish()
            await client.ended()
        await until(lambda: bench.datagrams.closed_ones, every_s=0.01)
    assert bench.datagrams.datagrams == [b"hello\n"]


@pytest.mark.needs_tool("openssl")
async def test_openssl_reads_why_its_datagram_handshake_failed(bench: TestBench) -> None:
    bench.judge.refusal = CertificateExpired("expired")
    async with bench.datagram_listener(refuse_in_handshake=True) as listener:
        async with running(*s_client(bench, listener.port, "-dtls1_2")) as client:
            said = await client.ended()
    assert "alert certificate expired" in said
    assert len(bench.witness.refusals) == 1


@pytest.mark.needs_tool("gnutls-cli")
@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_gnutls_exchanges_bytes(bench: TestBench, transport: str) -> None:
    files = bench.device_files
    options = ("--x509certfile", files.certificate, "--x509keyfile", files.key, "--x509cafile", bench.ca_file)
    async with bench.stream_listener() as streams, bench.datagram_listener() as datagrams:
        port, more = (streams.port, ()) if transport == "tcp" else (datagrams.port, ("--udp",))
        command = ("gnutls-cli", "127.0.0.1", "--port", port, *options, *more)
        async with running(*command) as client:
            await until(lambda: b"Handshake was completed" in client.output, every_s=0.01)
            client.say(b"hello\n")
            expected = b"hello" if transport == "tcp" else b"echo hello"
            await until(lambda: client.output.count(expected), every_s=0.01)
            client.finish()
            said = await client.ended()
    assert "The certificate is trusted" in said
    assert len(bench.judge.asked) == 1


@pytest.mark.needs_tool("gnutls-cli")
async def test_gnutls_reads_why_its_datagram_handshake_failed(bench: TestBench) -> None:
    bench.judge.refusal = SignatureInvalid("impostor")
    files = bench.device_files
    async with bench.datagram_listener(refuse_in_handshake=True) as listener:
        command = ("gnutls-cli", "127.0.0.1", "--udp", "--port", listener.port, "--no-ca-verification")
        async with running(*command, "--x509certfile", files.certificate, "--x509keyfile", files.key) as client:
            said = await client.ended()
    assert "Received alert [42]" in said


@pytest.mark.parametrize("library", ["openssl", "gnutls"])
async def test_libcoap_completes_its_handshake_and_sends(bench: TestBench, library: str, tool) -> None:  # type: ignore[no-untyped-def]
    program = tool(f"coap-client-{library}")
    files = bench.device_files
    async with bench.datagram_listener(refuse_in_handshake=True, certificate_required=True) as listener:
        target = f"coaps://127.0.0.1:{listener.port}/telemetry"
        command = (program, "-B", "3", "-m", "post", "-e", "data", "-t", "50")
        async with running(*command, "-c", files.certificate, "-j", files.key, "-R", bench.ca_file, target):
            await until(lambda: bench.datagrams.datagrams, every_s=0.01)
    assert b"telemetry" in bench.datagrams.datagrams[0]
    assert bench.judge.asked[0][0][0] == bench.device.der


async def _run(*command: object) -> str:
    async with running(*command) as program:
        program.finish()
        return await program.ended()
