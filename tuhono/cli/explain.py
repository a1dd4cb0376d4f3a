"""`tuhono explain`: what would happen if a device showed this certificate now, by the code that would decide it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuhono.cli.context import AsJson, ConfigFile, DataDir, desk
from tuhono.cli.errors import AdapterUnknown
from tuhono.cli.output import print_json

ADAPTERS = ("mqtt", "http", "coap")


def explain(
    certificate: Annotated[Path, typer.Argument(metavar="CERT", help="The device's certificate (PEM or DER).")],
    chain: Annotated[
        list[Path] | None,
        typer.Option("--chain", metavar="FILE", help="Further certificates the device sends; may be repeated."),
    ] = None,
    sni: Annotated[
        str | None, typer.Option(metavar="NAME", help="Host name the device connects to, as it sends it in SNI.")
    ] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="ISO 8601 time to judge at; default: now.")] = None,
    adapter: Annotated[
        str,
        typer.Option(
            metavar="PROTOCOL", help=f"{', '.join(ADAPTERS[:-1])} or coap.", autocompletion=lambda: list(ADAPTERS)
        ),
    ] = "mqtt",
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Say what would happen to a certificate.

    That is, if a device showed it now: who issued it, which tenants trust that CA, each check with its verdict, and
    the device it is, the one it would become, or why it would be refused. The checks are those of a real connection,
    and nothing changes. Exit status 0: it would be let in; 1: it would be refused.
    """
    from tuhono.cli.explain_report import is_refused, print_report, report_on
    from tuhono.cli.given import certificates_of, moment_of

    if adapter not in ADAPTERS:
        raise AdapterUnknown(f"{adapter!r} is none of {', '.join(ADAPTERS)}")
    presented = [der for path in (certificate, *(chain or ())) for der in certificates_of(path)]
    asked = None if at is None else moment_of(at)
    with desk(config, data_dir) as here:
        report = report_on(
            here.settings,
            here.store,
            presented=presented,
            server_name=sni,
            moment=here.clock.now() if asked is None else asked,
            adapter=f"hono-{adapter}",
        )
    if as_json:
        print_json(report)
    else:
        print_report(report)
    if is_refused(report):
        raise typer.Exit(1)
