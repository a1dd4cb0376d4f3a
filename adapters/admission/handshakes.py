"""Who may not even finish a handshake, where the protocol has no better way to say so: CoAP over DTLS.

hono-registry 4.7 and 4.8: over CoAP the handshake fails for whoever proves to be nobody: by a chain that is not
trusted, and by one that is while no credential answers to it, or a disabled one, or no id can be made of it. What is
said of a device that is known - tenant, adapter or device switched off, a limit, a database that does not answer - it
reads after the handshake, in CoAP's own words (hono-adapters 187, 188).

Looks and changes nothing. The peer has not yet proven that the certificate is its own, so nothing is created here;
whoever passes is examined again by admission.
"""

from dataclasses import replace
from typing import TypeGuard

from adapters.admission.evidence import Evidence
from adapters.admission.examination import Examination
from adapters.edge.peer import Address, Peer, PeerCertificate
from kernel.errors import Malformed, TuhonoError, Unauthenticated
from tenant.trust import TrustJudge, TrustVerdict


def ends_handshake(refusal: TuhonoError) -> TypeGuard[Unauthenticated | Malformed]:
    """Whether a refusal is of the evidence itself, rather than of the state of what it stands for."""
    return isinstance(refusal, (Unauthenticated, Malformed))


class HandshakeJudge:
    """The edge's judge for one adapter's listener: the chain, and then what the registry has to say.

    Where the registry cannot answer at once (`examine_now`), only the chain counts here, and the rest is told once the
    handshake is done.
    """

    def __init__(self, *, adapter: str, judge: TrustJudge, examination: Examination) -> None:
        self._adapter = adapter
        self._judge = judge
        self._examination = examination

    def __call__(self, chain_der: list[bytes], server_name: str | None, address: Address) -> TrustVerdict:
        verdict = self._judge.judge_now(chain_der, server_name)
        if verdict.refusal is not None:
            return verdict
        certificate = PeerCertificate(chain_der=tuple(chain_der), verdict=verdict)
        peer = Peer(address=address, certificate=certificate, server_name=server_name)
        try:
            self._examination.examine_now(verdict, Evidence(adapter=self._adapter, peer=peer))
        except TuhonoError as refusal:
            if ends_handshake(refusal):
                return replace(verdict, anchor=None, refusal=refusal)
        return verdict
