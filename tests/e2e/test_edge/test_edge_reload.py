"""The server's certificate is exchanged while it serves."""

import asyncio
import logging
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from adapters.edge.errors import CertificateFilesInvalid
from adapters.edge.identity import Identity, IdentityFiles
from adapters.edge.tls import TlsContexts
from conf.edge import EdgeSettings
from kernel.clock import SystemClock
from tests.support.certificates import PrivateKey, make_ca, make_server, new_key
from tests.support.edge import DtlsClient, TestBench, hang_up
from tests.support.raw_certificates import assemble, common_name, oid, rdn, sequence, tlv
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


async def test_a_reload_serves_new_peers_anew_and_leaves_connected_ones_alone(bench: TestBench) -> None:
    async with bench.stream_listener() as listener, bench.datagram_listener() as datagrams:
        reader, writer = await bench.connect(listener.port)
        device = DtlsClient(datagrams.port, device=bench.device)
        await device.connect()
        before = await _shown(bench, listener.port)
        make_server(bench.ca).write(bench.files.certificate.parent, "server")
        assert bench.contexts.reload()
        assert await _shown(bench, listener.port) != before
        writer.write(b"old")
        assert await reader.readexactly(3) == b"old"
        assert await device.ask(b"old") == b"echo old"
        newcomer = DtlsClient(datagrams.port, device=bench.device)
        await newcomer.connect()
        assert await newcomer.ask(b"new") == b"echo new"
        await hang_up(writer)
        device.close()
        newcomer.close()


@pytest.mark.parametrize("broken", ["certificate", "key", "pair", "kind", "version", "not-a-key", "name", "absent"])
async def test_broken_files_keep_the_certificate_in_use_and_say_so_once(
    bench: TestBench, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    async with bench.stream_listener() as listener:
        before = await _shown(bench, listener.port)
        if broken == "absent":
            bench.files.key.unlink()
            assert not bench.contexts.reload()
        else:
            _break(bench, broken)
            assert not bench.contexts.reload_if_changed()
        assert not bench.contexts.reload_if_changed()
        assert await _shown(bench, listener.port) == before
    logged = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    assert logged == ["certificate.reload-failed"]


async def test_a_change_of_the_files_is_noticed(tmp_path: Path) -> None:
    bench = TestBench(tmp_path, settings=EdgeSettings(reload_check_s=0.1))
    async with bench.stream_listener() as listener:
        watching = asyncio.create_task(bench.contexts.run())
        before = bench.contexts.identity
        make_server(bench.ca).write(tmp_path, "server")
        await until(lambda: bench.contexts.identity is not before, every_s=0.01)
        reader, writer = await bench.connect(listener.port)
        await hang_up(writer)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


@pytest.mark.parametrize("broken", ["certificate", "key", "pair", "kind", "version", "not-a-key", "name"])
async def test_files_that_cannot_serve_are_refused_at_the_start_by_name(bench: TestBench, broken: str) -> None:
    _break(bench, broken)
    with pytest.raises(CertificateFilesInvalid, match=r"server\.(pem|key)"):
        TlsContexts(
            settings=bench.settings,
            certificate_file=bench.files.certificate,
            key_file=bench.files.key,
            clock=SystemClock(),
        )


def _break(bench: TestBench, how: str) -> None:
    if how == "certificate":
        bench.files.certificate.write_bytes(b"-----BEGIN CERTIFICATE-----\nnonsense\n")
    elif how == "key":
        bench.files.key.write_bytes(b"no key")
    elif how == "pair":
        bench.files.key.write_bytes(make_server(make_ca()).key_pem)
    else:
        bench.files.certificate.write_bytes(_odd(how))


def _odd(how: str) -> bytes:
    """A certificate that is well formed and of a kind nobody can load, as PEM."""
    if how == "kind":
        return _self_signed(spki=sequence(sequence(oid("1.2.3.4")), tlv(3, b"\x00\x01")))
    if how == "not-a-key":
        return _self_signed(
            spki=sequence(sequence(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")), tlv(3, b"\x00"))
        )
    if how == "name":
        return _self_signed(subject=sequence(rdn(("2.5.4.3", 0x0C, b"\xff"))))
    return _self_signed(version=9)


def _self_signed(*, subject: bytes = common_name("server"), key: PrivateKey | None = None, **parts: object) -> bytes:
    key = key or new_key()
    made = assemble(**{"subject": subject, "issuer": subject, "key": key, "signed_by": key} | parts)  # type: ignore[arg-type]
    return ssl.DER_cert_to_PEM_cert(made).encode()


async def test_a_certificate_whose_name_cannot_be_shown_can_serve(bench: TestBench) -> None:
    key = serialization.load_pem_private_key(bench.files.key.read_bytes(), password=None)
    bench.files.certificate.write_bytes(_self_signed(key=key, subject=sequence(rdn(("2.5.4.3", 0x14, b"\xff")))))  # type: ignore[arg-type]
    before = bench.contexts.identity
    assert bench.contexts.reload()
    assert bench.contexts.identity is not before


@pytest.mark.parametrize("defect", [MemoryError(), RuntimeError("x"), x509.InvalidVersion("x", 9)])
async def test_whatever_a_reload_meets_the_certificate_in_use_stays(
    bench: TestBench, monkeypatch: pytest.MonkeyPatch, defect: Exception
) -> None:
    def fail(files: IdentityFiles) -> Identity:
        raise defect

    before = bench.contexts.identity
    monkeypatch.setattr(IdentityFiles, "read", fail)
    assert not bench.contexts.reload()
    assert bench.contexts.identity is before


async def _shown(bench: TestBench, port: int) -> bytes:
    """The certificate the server shows to a new peer."""

    def look() -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            with bench.client_context().wrap_socket(sock, server_hostname="localhost") as secure:
                shown = secure.getpeercert(binary_form=True)
                assert shown is not None
                return shown

    return await asyncio.to_thread(look)


async def test_an_encrypted_key_is_named_and_nobody_is_asked_for_a_passphrase(bench: TestBench) -> None:
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

    locked = bench.device.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    bench.files.key.write_bytes(locked)
    with pytest.raises(CertificateFilesInvalid, match="encrypted"):
        TlsContexts(
            settings=bench.settings,
            certificate_file=bench.files.certificate,
            key_file=bench.files.key,
            clock=SystemClock(),
        )
