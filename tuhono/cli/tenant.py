"""`tuhono tenant`: create, show, list, delete tenants, and say whose devices they trust."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuhono.cli import transfer
from tuhono.cli.context import AsJson, ConfigFile, DataDir, counter
from tuhono.cli.elsewhere import anywhere
from tuhono.cli.output import print_facts, print_json, print_table, say
from tuhono.cli.questions import Yes, require_yes

if TYPE_CHECKING:
    from tenant.model import Tenant

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Tenants, and the CAs whose devices they trust.")

SOURCE_HELP = "JSON as the management API takes it; - reads standard input."
Source = Annotated[Path | None, typer.Option("--from", metavar="FILE", help=SOURCE_HELP)]
TenantName = Annotated[str, typer.Argument(metavar="TENANT", help="Tenant id.")]


@app.command()
@anywhere
def create(
    tenant: Annotated[str | None, typer.Argument(metavar="TENANT", help="Tenant id; default: a random one.")] = None,
    alias: Annotated[
        str | None, typer.Option(metavar="LABEL", help="Host label that names the tenant in SNI, as its id does.")
    ] = None,
    max_devices: Annotated[int | None, typer.Option(metavar="N", help="Devices it may have; -1 is no limit.")] = None,
    trust_anchor_group: Annotated[
        str | None,
        typer.Option(
            metavar="GROUP", help="Tenants of one group may trust the same CA; their devices name the tenant in SNI."
        ),
    ] = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Create it switched off.")] = False,
    source: Source = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Create a tenant.

    It trusts nobody until `tuhono tenant trust` names a CA, or a file says whom. Options go before the file.
    """
    from dataclasses import replace

    from kernel.ids import TenantId
    from tenant.model import RegistrationLimits, Tenant
    from tuhono.cli.documents import read_tenant

    with counter(config, data_dir, make=True) as at:
        if tenant is not None:
            at.tenants.check_id(tenant)
        asked = read_tenant(source, tenant or "") if source is not None else Tenant(tenant_id=TenantId(tenant or ""))
        limits = asked.registration_limits or RegistrationLimits()
        made = at.tenants.create(
            replace(
                asked,
                alias=asked.alias if alias is None else alias,
                enabled=False if disabled else asked.enabled,
                trust_anchor_group=asked.trust_anchor_group if trust_anchor_group is None else trust_anchor_group,
                registration_limits=asked.registration_limits
                if max_devices is None
                else replace(limits, max_devices=max_devices),
            ),
            at.deed(),
        )
    if as_json:
        print_json(_as_json(made))
    else:
        say(f"created tenant {made.tenant_id}")


@app.command()
@anywhere
def update(
    tenant: TenantName,
    source: Annotated[Path, typer.Option("--from", metavar="FILE", help=SOURCE_HELP)],
    version: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Refuse, unless the tenant is at this version still.")
    ] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Replace what is on record of a tenant by what a file says.

    `tuhono tenant show --json` prints such a file. A trust anchor of the same id, name and key keeps its certificate.
    """
    from tuhono.cli.documents import read_tenant

    with counter(config, data_dir) as at:
        changed = at.tenants.replace(read_tenant(source, tenant), at.deed(), expected_version=version)
    if as_json:
        print_json(_as_json(changed))
    else:
        say(f"updated tenant {tenant}")


@app.command()
@anywhere
def show(tenant: TenantName, as_json: AsJson = False, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Show a tenant and its trust anchors."""
    from tuhono.cli.trust import UNREADABLE, anchor_json

    with counter(config, data_dir) as at:
        found = at.tenants.get(tenant)
    if as_json:
        print_json(_as_json(found))
        return
    limits = found.registration_limits
    print_facts(
        {
            "tenant": found.tenant_id,
            "enabled": found.is_enabled,
            "alias": found.alias,
            "trust anchor group": found.trust_anchor_group,
            "max devices": None if limits is None or limits.max_devices < 0 else limits.max_devices,
            "version": found.version,
            "created": None if found.created is None else found.created.isoformat(timespec="seconds"),
        }
    )
    if not found.trust_anchors:
        say("it trusts nobody yet: `tuhono tenant trust` names a CA")
    for anchor in found.trust_anchors:
        facts = {name.replace("-", " "): fact for name, fact in anchor_json(anchor).items() if name not in UNREADABLE}
        say()
        print_facts({"trust anchor": facts.pop("id"), **facts})


@app.command("list")
@anywhere
def list_(as_json: AsJson = False, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """List all tenants.

    With --json one object a line.
    """
    with counter(config, data_dir) as at:
        if as_json:
            for tenant in at.tenants.all():
                print_json(_as_json(tenant))
            return
        rows = [(t.tenant_id, t.is_enabled, t.alias or "", len(t.trust_anchors)) for t in at.tenants.all()]
    print_table(("TENANT", "ENABLED", "ALIAS", "TRUST ANCHORS"), rows, empty="there are no tenants yet")


@app.command()
@anywhere
def delete(
    tenant: TenantName, yes: Yes = False, as_json: AsJson = False, config: ConfigFile = None, data_dir: DataDir = None
) -> None:
    """Delete a tenant, and end its connections.

    All its devices and their credentials go with it.
    """
    with counter(config, data_dir) as at:
        at.tenants.get(tenant)
        require_yes(f"Delete tenant {tenant} with all its devices?", yes=yes, as_json=as_json)
        at.tenants.delete(tenant, at.deed())
    if as_json:
        print_json({"deleted": tenant})
    else:
        say(f"deleted tenant {tenant}")


@app.command()
@anywhere
def enable(tenant: TenantName, as_json: AsJson = False, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Let a tenant's devices in again."""
    _switch(tenant, True, as_json, config, data_dir)


@app.command()
@anywhere
def disable(tenant: TenantName, as_json: AsJson = False, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Keep a tenant's devices out, and end their connections."""
    _switch(tenant, False, as_json, config, data_dir)


@app.command()
@anywhere
def trust(
    tenant: TenantName,
    ca: Annotated[
        str,
        typer.Argument(metavar="CA", help="File of the CA's certificate; with --remove also its id or fingerprint."),
    ],
    remove: Annotated[bool, typer.Option("--remove", help="Stop trusting it; its live connections end.")] = False,
    anchor_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Id of the trust anchor; default: a random one.")
    ] = None,
    auto_provision: Annotated[
        bool | None,
        typer.Option(
            "--auto-provision/--no-auto-provision", help="Register unknown devices of this CA when they first connect."
        ),
    ] = None,
    as_gateway: Annotated[
        bool | None, typer.Option("--as-gateway/--no-as-gateway", help="Register them as gateways.")
    ] = None,
    device_id_template: Annotated[
        str | None,
        typer.Option(
            metavar="TEMPLATE",
            help="Their device id, such as 'sensor-{{subject-cn}}'; '' for a random one, the default.",
        ),
    ] = None,
    auth_id_template: Annotated[
        str | None,
        typer.Option(
            metavar="TEMPLATE",
            help="What tells devices apart, such as '{{subject-cn}}'; '' for the subject, the default.",
        ),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="N", help="Devices it may register a second; 0 is no limit.")
    ] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Trust the devices of a CA, or stop doing so.

    In force at the next handshake, in every process. A CA that is listed already keeps what no option names: to
    change it, name it and give the option.
    """
    from tuhono.cli import trust as work

    options = work.Options(
        anchor_id=anchor_id,
        auto_provision=auto_provision,
        as_gateway=as_gateway,
        device_id_template=device_id_template,
        auth_id_template=auth_id_template,
        rate=rate,
    )
    if remove and options != work.Options():
        raise typer.BadParameter("--remove takes no other option of the trust anchor")
    with counter(config, data_dir) as at:
        if remove:
            anchor = work.distrust(at.tenants, tenant, ca, at.deed())
        else:
            anchor = work.trust(at.tenants, tenant, Path(ca), options, at.deed())
    if as_json:
        print_json(work.anchor_json(anchor))
    else:
        for line in work.sentences(tenant, anchor, removed=remove, now=at.clock.now()):
            say(line)


def _switch(tenant: str, enabled: bool, as_json: bool, config: Path | None, data_dir: Path | None) -> None:
    with counter(config, data_dir) as at:
        changed = at.tenants.set_enabled(tenant, at.deed(), enabled=enabled)
    if as_json:
        print_json(_as_json(changed))
    else:
        say(f"{'enabled' if enabled else 'disabled'} tenant {tenant}")


def _as_json(tenant: Tenant) -> dict[str, Any]:
    from tuhono.cli.documents import tenant_json

    return tenant_json(tenant)


app.command("export")(anywhere(transfer.export))
app.command("import")(anywhere(transfer.import_))
