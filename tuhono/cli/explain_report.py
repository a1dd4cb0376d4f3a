"""The report of `tuhono explain`: put together from the objects a connecting device meets, then printed."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from adapters.admission.evidence import Evidence
from adapters.admission.handshakes import ends_handshake
from adapters.edge.peer import Address, Peer
from conf.sections import Settings
from kernel.clock import SystemClock
from kernel.errors import TuhonoError
from registry.refusals import REFUSED as RECORDED
from storage.open import Store
from tenant.trust import TrustVerdict
from tuhono.cli.output import print_facts, say, shown
from tuhono.domain import Domain, build_domain

KNOWN, STRANGER, REFUSED = "known", "would-be-registered", "refused"
OUTCOMES = {KNOWN: "this device is on record and would be let in", STRANGER: "it would be registered and let in"}
RECORDED_READ_MAX = 2000  # rows of the record looked through for a certificate
RECORDED_TOLD_MAX = 3
COAP = "hono-coap"  # refuses in the handshake what others refuse in their own words


def report_on(
    settings: Settings,
    store: Store,
    *,
    presented: Sequence[bytes],
    server_name: str | None,
    moment: datetime,
    adapter: str,
) -> dict[str, Any]:
    """What would become of the chain, leaf first, at that moment. Blocking; changes nothing."""
    domain = build_domain(settings, store, SystemClock())
    verdict = domain.judge.judge(presented, server_name, at=moment, explain=True)
    return {
        "certificate": _certificate(verdict),
        "anchors": _anchors(domain, verdict),
        "checks": [{"check": c.name, "passed": c.passed, "detail": c.detail} for c in verdict.checks],
        "tenant": verdict.tenant_id,
        "refused-lately": _refused_lately(store, presented),
        **asyncio.run(_outcome(domain, verdict, server_name, adapter)),
    }


def _refused_lately(store: Store, presented: Sequence[bytes]) -> list[dict[str, Any]]:
    """What the record of refusals says of this very certificate: the newest few, oldest first."""
    fingerprint = hashlib.sha256(presented[0]).hexdigest() if presented else ""
    last = store.audit.last_position()
    rows = store.audit.read(after=max(0, last - RECORDED_READ_MAX), limit=RECORDED_READ_MAX, what=RECORDED)
    its_own = [row for row in rows if row.facts.get("fingerprint") == fingerprint]
    return [
        {"time": row.moment.isoformat(timespec="seconds"), "code": row.code, "remote": row.facts.get("remote")}
        for row in its_own[-RECORDED_TOLD_MAX:]
    ]


def is_refused(report: dict[str, Any]) -> bool:
    return bool(report["outcome"] == REFUSED)


def print_report(report: dict[str, Any]) -> None:
    """For people: the certificate, the anchors, the checks, and the outcome last."""
    if report["certificate"]:
        print_facts(report["certificate"])
        say()
    if report["certificate"] and not report["anchors"]:
        say("no tenant lists a CA by any of the issuers' names")
    for anchor in report["anchors"]:
        provisions = "may provision" if anchor["auto-provisioning-enabled"] else "does not provision"
        say(f"anchor  {shown(anchor['subject-dn'])} of tenant {shown(anchor['tenant'])}: {provisions}")
    for check in report["checks"]:
        mark, style = ("passed", "green") if check["passed"] else ("FAILED", "red")
        say(f"{mark}  {shown(check['check'])}: {shown(check['detail'])}", style=style)
    say()
    for refusal in report["refused-lately"]:
        say(f"refused {refusal['time']} from {shown(refusal['remote'])}: {shown(refusal['code'])}", style="dim")
    if report["outcome"] == REFUSED:
        print_facts({name: report.get(name) for name in ("tenant", "auth-id")})
        where = "in the handshake" if report["in-handshake"] else "after the handshake, in the protocol's own words"
        say(f"refused {where}: {shown(report['detail'])} ({report['code']})", style="bold red")
    else:
        device = report["device"] or "a random id"
        print_facts({"tenant": report["tenant"], "auth-id": report["auth-id"], "device": device})
        say(OUTCOMES[report["outcome"]], style="bold green")


async def _outcome(domain: Domain, verdict: TrustVerdict, server_name: str | None, adapter: str) -> dict[str, Any]:
    peer = Peer(address=Address(host="explain", port=0), server_name=server_name)
    auth_id = None
    try:
        finding = await domain.examination.examine(verdict, Evidence(adapter=adapter, peer=peer))
        auth_id = finding.auth_id
        if finding.known is not None:
            return {"auth-id": auth_id, "outcome": KNOWN, "device": finding.known.device.device_id}
        assert finding.plan is not None
        await domain.planner.foresee(finding.plan)
        return {"auth-id": auth_id, "outcome": STRANGER, "device": finding.plan.device_id}  # None: a random one
    except TuhonoError as refusal:
        return {
            "auth-id": auth_id,
            "outcome": REFUSED,
            "code": refusal.code,
            "detail": str(refusal),
            "in-handshake": verdict.fatal or (adapter == COAP and ends_handshake(refusal)),
        }


def _anchors(domain: Domain, verdict: TrustVerdict) -> list[dict[str, Any]]:
    """Every trust anchor that bears the name of an issuer in the chain, whoever lists it."""
    return [
        {
            "tenant": anchor.tenant_id,
            "id": anchor.anchor_id,
            "subject-dn": anchor.authority.subject_dn,
            "auto-provisioning-enabled": anchor.may_auto_provision,
            "ends-path": verdict.anchor is anchor,
        }
        for issuer in dict.fromkeys(certificate.issuer_dn for certificate in verdict.presented)
        for anchor in domain.anchors.named(issuer)
    ]


def _certificate(verdict: TrustVerdict) -> dict[str, Any]:
    leaf = verdict.leaf
    if leaf is None:
        return {}
    return {
        "subject": leaf.subject_dn,
        "issuer": leaf.issuer_dn,
        "serial": leaf.serial_hex,
        "fingerprint": leaf.fingerprint_hex,
        "key": f"{leaf.key_type} {leaf.key_bits}",
        "not-before": leaf.not_before.isoformat(),
        "not-after": leaf.not_after.isoformat(),
    }
