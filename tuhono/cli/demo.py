"""`tuhono demo`: the story of a first connection, played live with real devices against a real gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuhono.cli.context import ConfigFile, DataDir, settings_of
from tuhono.cli.serve import start_logging


def demo(
    exit_: Annotated[
        bool, typer.Option("--exit", help="End after the story: status 0, or 1 if a step failed.")
    ] = False,
    server_ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CA that devices recognise the gateway by, where the configuration names a certificate for it;"
            " default: that certificate's file.",
        ),
    ] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Play a first connection live, then keep serving.

    Three unknown devices connect, over MQTT, HTTP and CoAP, and are registered; a stranger is refused; the three
    come back and are recognised. Everything it makes is in the data directory, under demo; playing it again makes
    three more devices and changes nothing else.
    """
    settings = settings_of(config, data_dir)
    import uvloop

    from tuhono.cli.demo_play import play
    from tuhono.lifecycle import prepare_process

    start_logging(settings, level="warning")
    prepare_process()
    if not uvloop.run(play(settings, server_ca=server_ca, ends=exit_)):
        raise typer.Exit(1)
