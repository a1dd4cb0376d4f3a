"""The command `tuhono`: one subcommand a job. `--help` on each says what it does and how it ends.

Commands import what they need when they run: `--help`, completion and `tuhono ca` never load the gateway.
"""

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tuhono.cli import audit, ca, demo, device, explain, login, maintenance, operator, serve, tail, tenant
from tuhono.cli.faults import ended


class Program(TyperGroup):
    """The root command. Every fault of every command is told here."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        words = sys.argv[1:] if args is None else list(args)
        prepare_streams()
        run = super().main
        sys.exit(ended(lambda: run(words, *rest, **{**extra, "standalone_mode": False}), as_json="--json" in words))


def prepare_streams() -> None:
    """A terminal without our letters, or no output at all, is no reason to fail."""
    sys.stdout = sys.stdout or open(os.devnull, "w")
    sys.stderr = sys.stderr or open(os.devnull, "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


app = typer.Typer(
    name="tuhono",
    cls=Program,
    no_args_is_help=True,
    help="The gateway that lets a device's first connection be its registration.",
    epilog="Exit status: 0 done; 1 not done, and why is said; 2 the command or the configuration is wrong.",
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,  # plain help: options and their meaning side by side, also in 80 columns
    pretty_exceptions_enable=False,
)
app.command()(serve.serve)
app.command()(demo.demo)
app.add_typer(tenant.app, name="tenant")
app.add_typer(device.app, name="device")
app.add_typer(operator.app, name="operator")
app.add_typer(ca.app, name="ca")
app.command()(tail.tail)
app.command()(explain.explain)
app.command()(audit.audit)
app.command()(login.login)
app.command()(login.logout)
app.command("check-config")(maintenance.check_config)
app.command()(maintenance.migrate)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version
        from importlib.util import find_spec

        way = find_spec("adapters.mqtt.shell")  # of every MQTT message: compiled where anything is
        is_compiled = way is not None and not str(way.origin).endswith(".py")
        sys.stdout.write(f"tuhono {version('tuhono')}{', compiled' if is_compiled else ''}\n")
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Options of the command itself."""
