"""Handshakes in memory, no socket: whom the gate asks, what a peer reads, which word a failure gets."""

import tracemalloc
from collections.abc import Callable

import pytest
from OpenSSL import SSL

from adapters.edge import engine
from adapters.edge.engine import Outcome
from adapters.edge.gate import Inquiry, TrustGate
from adapters.edge.peer import Address
from pki.errors import CertificateExpired, CertificateNotYetValid, ExtendedKeyUsageForbids, SignatureInvalid
from tenant.errors import TenantDisabled, UntrustedIssuer
from tests.support.certificates import Issued, make_ca, make_self_signed, make_server
from tests.support.edge import ScriptedJudge

SERVER = make_server(make_ca("CN=Server CA"))
DEVICE = make_ca().issue("CN=dev")


def server_context(gate: TrustGate, *, required: bool = False) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    show(context, SERVER)
    gate.guard(context, certificate_required=required)
    return context


def show(context: SSL.Context, issued: Issued) -> None:
    context.use_certificate(issued.certificate)
    for above in issued.intermediates:
        context.add_extra_chain_cert(above.certificate)
    context.use_privatekey(issued.key)


def new_gate(certificates_max: int = 10, max_bytes: int = 102_400) -> TrustGate:
    return TrustGate(chain_max_certificates=certificates_max, chain_max_bytes=max_bytes)


def inquiry(judge: Callable[..., object], *, refuse: bool = False) -> Inquiry:
    return Inquiry(address=Address(host="192.0.2.1", port=1), judge=judge, refuse_in_handshake=refuse)  # type: ignore[arg-type]


def shake_hands(
    gate: TrustGate, question: Inquiry, *, device: Issued | None = DEVICE, required: bool = False, name: bytes = b""
) -> tuple[Outcome, tuple[str, str], str]:
    """The outcome at the server, its word and reason if broken, and what the client read as an error."""
    server = SSL.Connection(server_context(gate, required=required))
    server.set_accept_state()
    client_context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if device is not None:
        show(client_context, device)
    client = SSL.Connection(client_context)
    client.set_connect_state()
    if name:
        client.set_tlsext_host_name(name)
    read = ""
    for _ in range(6):
        try:
            client.do_handshake()
            client.recv(1)
        except SSL.WantReadError:
            pass
        except SSL.Error as fault:
            read = str(fault)
        if to_server := engine.take_output(client):
            engine.feed(server, to_server)
        outcome = gate.advance(server, question)
        failure = engine.failure_word() if outcome is Outcome.BROKEN else ("", "")
        if to_client := engine.take_output(server):
            engine.feed(client, to_client)
        if outcome is Outcome.BROKEN:
            try:
                client.recv(1)
            except SSL.Error as fault:
                read = str(fault)
        if outcome is not Outcome.WANT_READ:
            return outcome, failure, read
    raise AssertionError("the handshake does not end")


def test_the_judge_is_asked_once_with_chain_name_and_address() -> None:
    judge = ScriptedJudge()
    device = make_ca("CN=Root").issue_ca("CN=Middle").issue("CN=dev")
    question = inquiry(judge)
    outcome, _, _ = shake_hands(new_gate(), question, device=device, name=b"tenant.example.com")
    assert outcome is Outcome.DONE
    assert judge.asked == [(list(device.chain_der), "tenant.example.com", Address(host="192.0.2.1", port=1))]
    certificate = question.certificate()
    assert certificate is not None and certificate.chain_der == device.chain_der
    assert certificate.verdict.refusal is None


def test_nobody_is_asked_about_a_peer_without_certificate() -> None:
    judge = ScriptedJudge()
    question = inquiry(judge)
    outcome, _, _ = shake_hands(new_gate(), question, device=None)
    assert outcome is Outcome.DONE
    assert judge.asked == []
    assert question.certificate() is None


def test_a_required_certificate_that_is_missing_gets_its_word() -> None:
    outcome, (word, _), read = shake_hands(new_gate(), inquiry(ScriptedJudge()), device=None, required=True)
    assert (outcome, word) == (Outcome.BROKEN, "certificate-required")
    assert "certificate required" in read


@pytest.mark.parametrize(
    ("refusal", "alert"),
    [
        (CertificateExpired("x"), "certificate expired"),
        (CertificateNotYetValid("x"), "bad certificate"),
        (UntrustedIssuer("x"), "unknown ca"),
        (SignatureInvalid("x"), "bad certificate"),
        (ExtendedKeyUsageForbids("x"), "unsupported certificate"),
        (TenantDisabled("x"), "bad certificate"),
    ],
)
def test_a_refusal_in_the_handshake_is_read_as_the_alert_that_fits(refusal: Exception, alert: str) -> None:
    question = inquiry(ScriptedJudge(refusal=refusal), refuse=True)  # type: ignore[arg-type]
    outcome, (word, _), read = shake_hands(new_gate(), question)
    assert (outcome, word) == (Outcome.BROKEN, "certificate-refused")
    assert question.is_refused and not question.is_defect
    assert alert in read


def test_only_a_fatal_refusal_ends_the_handshake_where_refusals_travel() -> None:
    travelling = inquiry(ScriptedJudge(refusal=UntrustedIssuer("x")))
    assert shake_hands(new_gate(), travelling)[0] is Outcome.DONE
    assert not travelling.is_refused
    fatal = inquiry(ScriptedJudge(refusal=CertificateExpired("x"), fatal=True))
    assert shake_hands(new_gate(), fatal)[0] is Outcome.BROKEN
    assert fatal.is_refused


def test_a_judge_that_raises_fails_the_handshake_as_our_own_fault() -> None:
    question = inquiry(ScriptedJudge(defect=ZeroDivisionError()))
    outcome, _, read = shake_hands(new_gate(), question)
    assert outcome is Outcome.BROKEN
    assert question.is_defect and not question.is_refused
    assert "internal error" in read


@pytest.mark.parametrize(("certificates_max", "max_bytes"), [(1, 102_400), (10, 400)])
def test_a_chain_beyond_the_limits_is_refused_whatever_the_judge_says(certificates_max: int, max_bytes: int) -> None:
    device = make_ca("CN=Root").issue_ca("CN=Middle").issue("CN=dev")
    question = inquiry(ScriptedJudge())
    outcome, _, _ = shake_hands(new_gate(certificates_max, max_bytes), question, device=device)
    assert outcome is Outcome.DONE
    certificate = question.certificate()
    assert certificate is not None and certificate.verdict.refusal is not None
    assert certificate.verdict.refusal.code == "chain-too-large"
    assert len(certificate.chain_der) <= certificates_max


def test_a_self_signed_device_certificate_is_judged() -> None:
    judge = ScriptedJudge()
    device = make_self_signed("CN=alone")
    assert shake_hands(new_gate(), inquiry(judge), device=device)[0] is Outcome.DONE
    assert judge.asked[0][0] == [device.der]


def test_the_path_openssl_builds_serves_where_the_list_as_sent_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "_PRESENTED_WORD", None)
    judge = ScriptedJudge()
    device = make_ca("CN=Root").issue_ca("CN=Middle").issue("CN=dev")
    assert server_context(new_gate(certificates_max=7)).get_verify_depth() == 7
    assert shake_hands(new_gate(), inquiry(judge), device=device)[0] is Outcome.DONE
    assert judge.asked[0][0] == list(device.chain_der)


def test_openssl_verifies_no_signature_above_the_leaf_and_the_judge_still_reads_all_certificates() -> None:
    ca = make_ca("CN=Root")
    for number in range(9):
        ca = ca.issue_ca(f"CN=Middle {number}")
    device = ca.issue("CN=dev")
    gate, judge = new_gate(), ScriptedJudge(refusal=UntrustedIssuer("x"))
    assert server_context(gate).get_verify_depth() == 0
    assert shake_hands(gate, inquiry(judge), device=device)[0] is Outcome.DONE
    assert judge.asked[0][0] == list(device.chain_der)
    assert len(device.chain_der) == 10


def test_the_list_as_sent_is_reached_with_this_openssl() -> None:
    assert engine._PRESENTED_WORD is not None


def test_no_error_is_left_for_the_next_connection_to_trip_over() -> None:
    gate = new_gate()
    shake_hands(gate, inquiry(ScriptedJudge(refusal=UntrustedIssuer("x")), refuse=True))
    assert engine.LIB.ERR_peek_error() == 0
    assert shake_hands(gate, inquiry(ScriptedJudge()))[0] is Outcome.DONE


def test_handshakes_leave_no_python_objects_behind() -> None:
    gate = new_gate()
    for _ in range(3):
        shake_hands(gate, inquiry(ScriptedJudge()))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(20):
        shake_hands(gate, inquiry(ScriptedJudge()))
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20_000
