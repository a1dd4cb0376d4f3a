"""`tuhono device`: list, show, delete, enable and disable devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuhono.cli.context import AsJson, ConfigFile, DataDir, desk
from tuhono.cli.output import print_facts, print_json, print_table, say
from tuhono.cli.questions import Yes, require_yes

if TYPE_CHECKING:
    from registry.model import Credential, Device

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Devices on record.")

TenantName = Annotated[str, typer.Argument(metavar="TENANT", help="Tenant id.")]
DeviceName = Annotated[str, typer.Argument(metavar="DEVICE", help="Device id.")]


@app.command("list")
def list_(tenant: TenantName, as_json: AsJson = False, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """List the devices of a tenant.

    With --json one object a line.
    """
    with desk(config, data_dir) as at:
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
def show(
    tenant: TenantName,
    device: DeviceName,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Show a device and what it proves itself with."""
    with desk(config, data_dir) as at:
        at.tenants.get(tenant)
        found = at.devices.get(tenant, device)
        credentials = at.credentials.get(tenant, device).credentials
    if as_json:
        print_json({**_as_json(found), "credentials": [_credential_json(credential) for credential in credentials]})
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
            "via": ", ".join(found.via),
            "authorities": ", ".join(found.authorities),
        }
    )
    for credential in credentials:
        say()
        print_facts({"credential": credential.type, "auth-id": credential.auth_id, "enabled": credential.is_enabled})


@app.command()
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
    with desk(config, data_dir) as at:
        at.tenants.get(tenant)
        at.devices.get(tenant, device)
        require_yes(f"Delete device {device} of tenant {tenant}?", yes=yes, as_json=as_json)
        at.devices.delete(tenant, device, at.deed())
    if as_json:
        print_json({"deleted": device, "tenant": tenant})
    else:
        say(f"deleted device {device}")


@app.command()
def enable(
    tenant: TenantName, device: DeviceName, as_json: AsJson = False, config: ConfigFile = None, data_dir: DataDir = None
) -> None:
    """Let a device in again."""
    _switch(tenant, device, True, as_json, config, data_dir)


@app.command()
def disable(
    tenant: TenantName, device: DeviceName, as_json: AsJson = False, config: ConfigFile = None, data_dir: DataDir = None
) -> None:
    """Keep a device out, and end its connections."""
    _switch(tenant, device, False, as_json, config, data_dir)


def _switch(tenant: str, device: str, enabled: bool, as_json: bool, config: Path | None, data_dir: Path | None) -> None:
    with desk(config, data_dir) as at:
        at.tenants.get(tenant)
        at.devices.set_enabled(tenant, device, at.deed(), enabled=enabled)
        if as_json:
            print_json(_as_json(at.devices.get(tenant, device)))
    if not as_json:
        say(f"{'enabled' if enabled else 'disabled'} device {device}")


def _as_json(device: Device) -> dict[str, Any]:
    status = device.status
    return {
        "id": device.device_id,
        "tenant": device.tenant_id,
        "enabled": device.is_enabled,
        "via": list(device.via),
        "authorities": list(device.authorities),
        "ext": dict(device.ext),
        "status": {
            "created": status.created.isoformat(),
            "updated": None if status.updated is None else status.updated.isoformat(),
            "auto-provisioned": status.auto_provisioned,
            "auto-provisioning-notification-sent": status.notification_sent,
        },
    }


def _credential_json(credential: Credential) -> dict[str, Any]:
    return {
        "type": credential.type,
        "auth-id": credential.auth_id,
        "enabled": credential.is_enabled,
        "comment": credential.comment,
    }
