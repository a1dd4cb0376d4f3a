"""Writes down the handshakes that failed, so that a silent device is not a riddle to its operator."""

import logging

from adapters.admission.examination import certificate_facts
from adapters.edge.peer import Address
from kernel.log import fields
from registry.refusals import RefusalRecord
from tenant.trust import TrustVerdict

log = logging.getLogger(__name__)


class HandshakeRecord:
    """The edge's witness for one adapter's listeners."""

    def __init__(self, *, adapter: str, refusals: RefusalRecord) -> None:
        self._adapter = adapter
        self._refusals = refusals

    def refused(self, address: Address, chain_der: list[bytes], server_name: str | None, verdict: TrustVerdict) -> None:
        """The handshake was ended because of what the peer presented."""
        if verdict.refusal is None:
            return
        facts = {"adapter": self._adapter, "remote": str(address), **certificate_facts(verdict, chain_der)}
        if server_name is not None:
            facts["sni"] = server_name
        self._refusals.add(verdict.refusal, facts, tenant_id=verdict.tenant_id)
        log.info(
            "handshake.refused",
            extra=fields(code=verdict.refusal.code, detail=str(verdict.refusal), **facts),
        )

    def failed(self, address: Address, reason: str) -> None:
        """The handshake did not end by itself; not audited, because a port scan is no device."""
        log.info("handshake.failed", extra=fields(adapter=self._adapter, remote=str(address), reason=reason))
