"""`tuhono device`: create, show, list, change and delete devices, and what they prove themselves with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuhono.cli.context import AsJson, ConfigFile, DataDir, counter
from tuhono.cli.credentials import SOURCE_HELP, DeviceName, TenantName, Version, credentials, password, show_credential
from tuhono.cli.elsewhere import anywhere
from tuhono.cli.output import print_facts, print_json, print_table, say, shown
from tuhono.cli.questions import Yes, require_yes

if TYPE_CHECKING:
    from registry.model import Device

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Devices on record.")


@app.command()
@anywhere
def create(
    tenant: TenantName,
    device: Annotated[str | None, typer.Argument(metavar="DEVICE", help="Device id; default: a random one.")] = None,
    via: Annotated[
        list[str] | None, typer.Option(metavar="GATEWAY", help="Id of a gateway that may speak for it; repeatable.")
    ] = None,
    member_of: Annotated[
        list[str] | None, typer.Option(metavar="GROUP", help="Group of gateways it is one of; repeatable.")
    ] = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Create it switched off.")] = False,
    source: Annotated[Path | None, typer.Option("--from", metavar="FILE", help=SOURCE_HELP)] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Create a device.

    It proves itself with nothing until `tuhono device password` or `tuhono device credentials` says what. Options go
    before the file.
    """
    from dataclasses import replace

    from kernel.ids import DeviceId, TenantId, generate_id
    from registry.model import Device, DeviceStatus
    from tuhono.cli.documents import read_device

    with counter(config, data_dir) as at:
        deed = at.deed()
        if source is not None:
            asked = read_device(source, tenant, device or "", deed.moment)
        else:
            status = DeviceStatus(created=deed.moment)
            asked = Device(tenant_id=TenantId(tenant), device_id=DeviceId(device or ""), status=status)
        made = at.devices.create(
            replace(
                asked,
                device_id=asked.device_id if device is not None or asked.device_id else DeviceId(generate_id()),
                enabled=False if disabled else asked.enabled,
                via=asked.via if via is None else tuple(DeviceId(gateway) for gateway in via),
                member_of=asked.member_of if member_of is None else tuple(member_of),
            ),
            deed,
        )
    if as_json:
        print_json(_as_json(made))
    else:
        say(f"created device {shown(made.device_id)}")


@app.command()
@anywhere
def update(
    tenant: TenantName,
    device: DeviceName,
    source: Annotated[Path, typer.Option("--from", metavar="FILE", help=SOURCE_HELP)],
    version: Version = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Replace a device by what a file says.

    What the file leaves out is gone; the status stays the registry's own. `tuhono device show --json` prints such a
    file.
    """
    from tuhono.cli.documents import read_device

    with counter(config, data_dir) as at:
        deed = at.deed()
        at.devices.replace(read_device(source, tenant, device, deed.moment), deed, expected_version=version)
        if as_json:
            print_json(_as_json(at.devices.get(tenant, device)))
    if not as_json:
        say(f"updated device {shown(device)}")


@app.command("list")
@anywhere
def list_(tenant: TenantName, as_json: AsJson = False, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """List the devices of a tenant.

    With --json one object a line.
    """
    with counter(config, data_dir) as at:
        at.tenants.get(tenant)
        if as_json:
            for device in at.devices.all(tenant):
                print_json(_as_json(device))
            return
        rows = [
            (d.device_id, d.is_enabled, d.status.auto_provisioned, d.status.created.isoformat(timespec="seconds"))
            for d in at.devices.all(tenant)
        ]
    print_table(("DEVICE", "ENABLED", "AUTO-PROVISIONED", "CREATED"), rows, empty=f"tenant {tenant} has no devices yet")


@app.command()
@anywhere
def show(
    tenant: TenantName,
    device: DeviceName,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Show a device and what it proves itself with.

    With --json the device alone, as the management API shows it.
    """
    with counter(config, data_dir) as at:
        found = at.devices.get(tenant, device)
        held = at.credentials.get(tenant, device)
    if as_json:
        print_json(_as_json(found))
        return
    status = found.status
    print_facts(
        {
            "device": found.device_id,
            "tenant": found.tenant_id,
            "enabled": found.is_enabled,
            "created": status.created.isoformat(timespec="seconds"),
            "updated": None if status.updated is None else status.updated.isoformat(timespec="seconds"),
            "auto-provisioned": status.auto_provisioned,
            "announced": status.notification_sent if status.auto_provisioned else None,
            "changed by": status.last_user,
            "via": ", ".join(found.via),
            "via groups": ", ".join(found.via_groups),
            "member of": ", ".join(found.member_of),
            "authorities": ", ".join(found.authorities),
            "version": found.version,
        }
    )
    for credential in held.credentials:
        say()
        show_credential(credential)


@app.command()
@anywhere
def delete(
    tenant: TenantName,
    device: DeviceName,
    yes: Yes = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Delete a device, and end its connections.

    Its credentials go, too. Where its CA provisions, it registers again at its next connection: disable it to keep
    it out.
    """
    with counter(config, data_dir) as at:
        at.devices.get(tenant, device)
        require_yes(f"Delete device {device} of tenant {tenant}?", yes=yes, as_json=as_json)
        at.devices.delete(tenant, device, at.deed())
    if as_json:
        print_json({"deleted": device, "tenant": tenant})
    else:
        say(f"deleted device {device}")


@app.command()
@anywhere
def enable(
    tenant: TenantName, device: DeviceName, as_json: AsJson = False, config: ConfigFile = None, data_dir: DataDir = None
) -> None:
    """Let a device in again."""
    _switch(tenant, device, True, as_json, config, data_dir)


@app.command()
@anywhere
def disable(
    tenant: TenantName, device: DeviceName, as_json: AsJson = False, config: ConfigFile = None, data_dir: DataDir = None
) -> None:
    """Keep a device out, and end its connections."""
    _switch(tenant, device, False, as_json, config, data_dir)


app.command()(anywhere(credentials))
app.command()(anywhere(password))


def _switch(tenant: str, device: str, enabled: bool, as_json: bool, config: Path | None, data_dir: Path | None) -> None:
    with counter(config, data_dir) as at:
        at.devices.set_enabled(tenant, device, at.deed(), enabled=enabled)
        if as_json:
            print_json(_as_json(at.devices.get(tenant, device)))
    if not as_json:
        say(f"{'enabled' if enabled else 'disabled'} device {device}")


def _as_json(device: Device) -> dict[str, Any]:
    from tuhono.cli.documents import device_json

    return device_json(device)
