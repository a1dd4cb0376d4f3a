"""Which tenant a presented chain speaks for, and whether that tenant trusts it.

The order of hono-registry 4.2 with 4.8 over it: the nearest registered issuer's name decides the
tenant, SNI decides among several; then any valid anchor of that tenant may end the path. Never falls
through to another tenant. The same code answers a handshake and `tuhono explain`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kernel.errors import Refused
from kernel.ids import TenantId
from pki.certificates import Certificate
from pki.chains import Check, PathRules
from tenant.anchors import AnchorIndex
from tenant.model import TrustAnchor


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustVerdict:
    """What a chain proves. Exactly one of `anchor` and `refusal` is set."""

    presented: tuple[Certificate, ...]  # as far as they could be parsed, leaf first
    tenant_id: TenantId | None
    anchor: TrustAnchor | None  # the one that verified the path: its flags and templates speak
    refusal: Refused | None
    checks: tuple[Check, ...] = ()
    fatal: bool = False  # the handshake itself must fail: leaf outside its validity, or unreadable


class TrustJudge:
    """Judges presented chains against the anchors of all tenants."""

    def __init__(self, *, anchors: AnchorIndex, rules: PathRules) -> None:
        self._anchors = anchors
        self._rules = rules

    def judge(self, chain_der: Sequence[bytes], server_name: str | None, *, at: datetime) -> TrustVerdict:
        """Never raises for what was presented. The leaf is first."""
        raise NotImplementedError
