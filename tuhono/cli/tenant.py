"""`tuhono tenant`: create, show, list, delete tenants, and say whose devices they trust."""

import base64
from pathlib import Path
from typing import Annotated, Any

import typer

from pki.certificates import parse_certificate
from pki.pem import certificates_in
from tenant.administration import AnchorChoices
from tenant.model import Tenant, TrustAnchor
from tuhono.cli.context import AsJson, ConfigFile, DataDir, desk
from tuhono.cli.output import fail, out, print_facts, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="Tenants, and the CAs whose devices they trust.")

TenantName = Annotated[str, typer.Argument(metavar="TENANT", help="Tenant id.")]


@app.command()
def create(
    tenant: Annotated[str | None, typer.Argument(help="Tenant id; default: a random one.")] = None,
    alias: Annotated[str | None, typer.Option(help="Host label that names the tenant in SNI.")] = None,
    max_devices: Annotated[int | None, typer.Option(help="Devices it may have; -1 is no limit.")] = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Create it switched off.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Create a tenant. It trusts nobody until `tuhono tenant trust` names a CA."""
    with desk(config, data_dir, as_json=as_json, make=True) as at:
        made = at.tenants.create(tenant, alias=alias, enabled=not disabled, devices_max=max_devices)
    if as_json:
        print_json(_as_json(made))
    else:
        out.print(f"created tenant {made.tenant_id}", markup=False)


@app.command()
def show(tenant: TenantName, as_json: AsJson = False, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Show a tenant and its trust anchors."""
    with desk(config, data_dir, as_json=as_json) as at:
        found = at.tenants.get(tenant)
    if as_json:
        print_json(_as_json(found))
        return
    print_facts({"tenant": found.tenant_id, "enabled": found.enabled, "alias": found.alias, "created": found.created})
    for anchor in found.trust_anchors:
        out.print()
        print_facts({name.replace("-", " "): fact for name, fact in _anchor_json(anchor).items() if name != "cert"})


@app.command("list")
def list_(as_json: AsJson = False, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """List all tenants."""
    with desk(config, data_dir, as_json=as_json) as at:
        if as_json:
            for tenant in at.tenants.all():
                print_json(_as_json(tenant))
            return
        rows = [(t.tenant_id, t.enabled, t.alias or "", len(t.trust_anchors)) for t in at.tenants.all()]
    print_table(("TENANT", "ENABLED", "ALIAS", "TRUST ANCHORS"), rows, empty="there are no tenants yet")


@app.command()
def delete(
    tenant: TenantName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Delete a tenant with all its devices and credentials, and end its connections."""
    if not yes and not as_json:
        typer.confirm(f"Delete tenant {tenant} with all its devices?", abort=True)
    with desk(config, data_dir, as_json=as_json) as at:
        at.tenants.delete(tenant)
    if not as_json:
        out.print(f"deleted tenant {tenant}", markup=False)


@app.command()
def enable(tenant: TenantName, as_json: AsJson = False, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Let a tenant's devices in again."""
    _switch(tenant, True, as_json, config, data_dir)


@app.command()
def disable(tenant: TenantName, as_json: AsJson = False, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Keep all of a tenant's devices out, and end their connections."""
    _switch(tenant, False, as_json, config, data_dir)


@app.command()
def trust(
    tenant: TenantName,
    ca: Annotated[
        str, typer.Argument(metavar="CA", help="PEM file of a CA; with --remove also its id or fingerprint.")
    ],
    remove: Annotated[bool, typer.Option("--remove", help="Stop trusting it; its live connections end.")] = False,
    anchor_id: Annotated[
        str | None, typer.Option("--id", help="Id of the trust anchor; default: a random one.")
    ] = None,
    auto_provision: Annotated[
        bool, typer.Option("--auto-provision", help="Register unknown devices of this CA at their first connection.")
    ] = False,
    as_gateway: Annotated[bool, typer.Option("--as-gateway", help="Register them as gateways.")] = False,
    device_id_template: Annotated[
        str | None, typer.Option(help="Their device id, for example 'sensor-{{subject-cn}}'; default: a random one.")
    ] = None,
    auth_id_template: Annotated[
        str | None, typer.Option(help="What identifies a device, for example '{{subject-cn}}'; default: its subject.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Devices it may provision per second; 0 is no limit.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Trust the devices of a CA, or with --remove no longer. In force at the next handshake.

    Naming a CA that is listed already, with its --id, changes what it may do.
    """
    with desk(config, data_dir, as_json=as_json) as at:
        if remove:
            anchor = at.tenants.distrust(tenant, _fingerprint(ca) if Path(ca).is_file() else ca)
        else:
            choices = AnchorChoices(
                may_auto_provision=auto_provision,
                provisions_gateways=as_gateway,
                device_id_template=device_id_template,
                auth_id_template=auth_id_template,
                provisioning_per_s_max=rate,
            )
            anchor = at.tenants.trust(tenant, _one_certificate(ca), anchor_id, choices)
    if as_json:
        print_json(_anchor_json(anchor))
        return
    verb = "no longer trusts" if remove else "trusts"
    out.print(f"tenant {tenant} {verb} {anchor.authority.subject_dn} (trust anchor {anchor.anchor_id})", markup=False)
    if not remove and not anchor.may_auto_provision:
        out.print("unknown devices of this CA are refused; --auto-provision registers them", markup=False)


def _switch(tenant: str, enabled: bool, as_json: bool, config: Path | None, data_dir: Path | None) -> None:
    with desk(config, data_dir, as_json=as_json) as at:
        changed = at.tenants.set_enabled(tenant, enabled=enabled)
    if as_json:
        print_json(_as_json(changed))
    else:
        out.print(f"{'enabled' if enabled else 'disabled'} tenant {tenant}", markup=False)


def _one_certificate(path: str) -> bytes:
    found = certificates_in(Path(path).read_bytes())
    if len(found) != 1:
        fail(f"{path} holds {len(found)} certificates; a trust anchor is one CA, in one file", "one-certificate-wanted")
    return found[0]


def _fingerprint(path: str) -> str:
    return parse_certificate(_one_certificate(path)).fingerprint_hex


def _as_json(tenant: Tenant) -> dict[str, Any]:
    return {
        "id": tenant.tenant_id,
        "enabled": tenant.enabled,
        "alias": tenant.alias,
        "created": None if tenant.created is None else tenant.created.isoformat(),
        "trusted-ca": [_anchor_json(anchor) for anchor in tenant.trust_anchors],
    }


def _anchor_json(anchor: TrustAnchor) -> dict[str, Any]:
    authority = anchor.authority
    der = authority.certificate_der
    return {
        "id": anchor.anchor_id,
        "subject-dn": authority.subject_dn,
        "not-before": authority.not_before.isoformat(),
        "not-after": authority.not_after.isoformat(),
        "auto-provisioning-enabled": anchor.may_auto_provision,
        "auto-provision-as-gateway": anchor.provisions_gateways,
        "auto-provisioning-device-id-template": anchor.device_id_template,
        "auth-id-template": anchor.auth_id_template,
        "cert": None if der is None else base64.b64encode(der).decode(),
    }
