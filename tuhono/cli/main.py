"""The command `tuhono`: one subcommand a job. `--help` on each says what it does and how it ends."""

import sys
from typing import Annotated

import typer

from tuhono.cli import ca, demo, device, explain, maintenance, serve, tail, tenant

app = typer.Typer(
    name="tuhono",
    no_args_is_help=True,
    help="The gateway that lets a device's first connection be its registration.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,
)
app.command()(serve.serve)
app.command()(demo.demo)
app.add_typer(tenant.app, name="tenant")
app.add_typer(device.app, name="device")
app.add_typer(ca.app, name="ca")
app.command()(tail.tail)
app.command()(explain.explain)
app.command("check-config")(maintenance.check_config)
app.command()(maintenance.migrate)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        sys.stdout.write(f"tuhono {version('tuhono')}\n")
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Options of the command itself."""
