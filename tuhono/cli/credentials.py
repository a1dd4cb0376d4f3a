"""`tuhono device credentials` and `password`: what a device proves itself with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuhono.cli.context import AsJson, ConfigFile, DataDir, counter
from tuhono.cli.output import print_facts, print_json, say, shown

if TYPE_CHECKING:
    from registry.model import Credential, CredentialSet

TenantName = Annotated[str, typer.Argument(metavar="TENANT", help="Tenant id.")]
DeviceName = Annotated[str, typer.Argument(metavar="DEVICE", help="Device id.")]
SOURCE_HELP = "JSON as the management API takes it; - reads standard input."
Version = Annotated[
    str | None, typer.Option(metavar="VERSION", help="Refuse, unless what is on record is at this version still.")
]
PASSWORD_LINE_MAX_CHARS = 4096


def credentials(
    tenant: TenantName,
    device: DeviceName,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help=f"Put these in the place of all on record: {SOURCE_HELP}"),
    ] = None,
    version: Version = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Show what a device proves itself with, or replace it.

    Passwords, their hashes and pre-shared keys are never shown. A secret that a file names by its id alone keeps them.
    """
    from tuhono.cli.documents import credentials_json, read_credentials

    if version is not None and source is None:
        raise typer.BadParameter("--version goes with --from")
    with counter(config, data_dir) as at:
        if source is not None:
            updates = read_credentials(source)
            at.credentials.replace(tenant, device, updates, at.deed(), expected_version=version)
        found = at.credentials.get(tenant, device)
    if as_json:
        print_json(credentials_json(found))
    elif source is not None:
        say(f"updated the credentials of device {shown(device)}")
    else:
        _show_credentials(device, found)


def password(
    tenant: TenantName,
    device: DeviceName,
    auth_id: Annotated[str, typer.Argument(metavar="AUTH-ID", help="Name the device logs in with, without @TENANT.")],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
    ] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Give a device a user name and password.

    The password takes the place of those it had under this name; other credentials stay. Only a hash of it is kept.
    """
    word = (
        _password_from_input()
        if password_stdin or not sys.stdin.isatty()
        else typer.prompt("Password", hide_input=True)
    )
    with counter(config, data_dir) as at:
        at.credentials.set_password(tenant, device, auth_id, word, at.deed())
    if as_json:
        print_json({"tenant": tenant, "device": device, "auth-id": auth_id})
    else:
        say(f"device {shown(device)} logs in as {shown(auth_id)}@{shown(tenant)}")


def _password_from_input() -> str:
    return sys.stdin.readline(PASSWORD_LINE_MAX_CHARS).rstrip("\r\n")


def _show_credentials(device: str, found: CredentialSet) -> None:
    if not found.credentials:
        say(f"device {shown(device)} proves itself with nothing yet")
        return
    print_facts({"device": device, "version": found.version})
    for credential in found.credentials:
        say()
        show_credential(credential)


def show_credential(credential: Credential) -> None:
    """What may be told of one."""
    print_facts(
        {
            "credential": credential.type,
            "auth-id": credential.auth_id,
            "enabled": credential.is_enabled,
            "comment": credential.comment,
            "secrets": len(credential.secrets),
        }
    )
