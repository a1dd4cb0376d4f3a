"""`tuhono explain`: what would happen if a device showed this certificate now, by the code that would decide it."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.admission.evidence import Evidence
from adapters.edge.peer import Address, Peer
from kernel.clock import SystemClock
from kernel.errors import TuhonoError
from pki.pem import certificates_in
from tenant.trust import TrustVerdict
from tuhono.cli.context import AsJson, ConfigFile, DataDir, desk
from tuhono.cli.output import fail, out, print_facts, print_json, shown
from tuhono.domain import Domain, build_domain

ADAPTERS = ("mqtt", "http", "coap")
KNOWN, STRANGER, REFUSED = "known", "would-be-registered", "refused"
OUTCOMES = {KNOWN: "this device is on record and would be let in", STRANGER: "it would be registered and let in"}


def explain(
    certificate: Annotated[Path, typer.Argument(metavar="CERT.pem", help="The device's certificate (PEM or DER).")],
    chain: Annotated[
        list[Path] | None, typer.Option("--chain", help="Further certificates the device sends; may be repeated.")
    ] = None,
    sni: Annotated[str | None, typer.Option(help="Host name the device connects to, as it sends it in SNI.")] = None,
    at: Annotated[str | None, typer.Option(help="ISO 8601 time to judge at; default: now.")] = None,
    adapter: Annotated[str, typer.Option(help="Protocol: mqtt, http or coap.")] = "mqtt",
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Say what would happen if a device showed this certificate now. Changes nothing.

    Exit status 0: it would be let in; 1: it would be refused.
    """
    with desk(config, data_dir, as_json=as_json) as here:
        if adapter not in ADAPTERS:
            fail(f"adapter {adapter!r} is none of {', '.join(ADAPTERS)}", "adapter-unknown", as_json=as_json)
        presented = [der for path in (certificate, *(chain or ())) for der in certificates_in(path.read_bytes())]
        clock = SystemClock()
        domain = build_domain(here.settings, here.store, clock)
        moment = clock.now() if at is None else _time(at, as_json)
        verdict = domain.judge.judge(presented, sni, at=moment, explain=True)
        report = asyncio.run(_report(domain, verdict, sni, f"hono-{adapter}"))
    if as_json:
        print_json(report)
    else:
        _print(report)
    if report["outcome"] == REFUSED:
        raise typer.Exit(1)


async def _report(domain: Domain, verdict: TrustVerdict, sni: str | None, adapter: str) -> dict[str, Any]:
    report: dict[str, Any] = {
        "certificate": _certificate(verdict),
        "anchors": [
            {
                "tenant": anchor.tenant_id,
                "id": anchor.anchor_id,
                "subject-dn": anchor.authority.subject_dn,
                "auto-provisioning-enabled": anchor.may_auto_provision,
                "ends the path": verdict.anchor is anchor,
            }
            for issuer in dict.fromkeys(certificate.issuer_dn for certificate in verdict.presented)
            for anchor in domain.anchors.named(issuer)
        ],
        "checks": [{"check": c.name, "passed": c.passed, "detail": c.detail} for c in verdict.checks],
        "tenant": verdict.tenant_id,
    }
    peer = Peer(address=Address(host="explain", port=0), server_name=sni)
    try:
        finding = await domain.examination.examine(verdict, Evidence(adapter=adapter, peer=peer))
        report["auth-id"] = finding.auth_id
        if finding.known is not None:
            return {**report, "outcome": KNOWN, "device": finding.known.device.device_id}
        assert finding.plan is not None
        await domain.planner.foresee(finding.plan)
        device = finding.plan.device_id
        return {**report, "outcome": STRANGER, "device": device or "(a random id)"}
    except TuhonoError as refusal:
        return {
            **report,
            "outcome": REFUSED,
            "code": refusal.code,
            "detail": str(refusal),
            "in the handshake": verdict.fatal or (adapter == "hono-coap" and verdict.refusal is not None),
        }


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


def _print(report: dict[str, Any]) -> None:
    print_facts(report["certificate"])
    out.print()
    if not report["anchors"]:
        out.print("No tenant lists a CA by any of the issuers' names.")
    for anchor in report["anchors"]:
        provisions = "may provision" if anchor["auto-provisioning-enabled"] else "does not provision"
        which = f"{shown(anchor['id'])} of tenant {shown(anchor['tenant'])}, {shown(anchor['subject-dn'])}"
        out.print(f"anchor  {which}: {provisions}", markup=False)
    for check in report["checks"]:
        mark, style = ("passed", "green") if check["passed"] else ("FAILED", "red")
        out.print(f"{mark}  {shown(check['check'])}: {shown(check['detail'])}", style=style, markup=False)
    out.print()
    facts = {name: report.get(name) for name in ("tenant", "auth-id", "device")}
    print_facts(facts)
    if report["outcome"] == REFUSED:
        where = "in the handshake" if report["in the handshake"] else "after the handshake, in the protocol's own words"
        sentence = f"refused {where}: {shown(report['detail'])} ({report['code']})"
        out.print(sentence, style="bold red", markup=False)
    else:
        out.print(OUTCOMES[report["outcome"]], style="bold green")


def _time(given: str, as_json: bool) -> datetime:
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        fail(f"{given!r} is no ISO 8601 time", "time-invalid", as_json=as_json)
    return moment if moment.tzinfo is not None else moment.astimezone()
