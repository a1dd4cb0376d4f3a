"""`tuhono serve`: run the gateway until it is told to stop."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from tuhono.cli.context import ConfigFile, DataDir, settings_of
from tuhono.cli.output import say

if TYPE_CHECKING:
    from conf.sections import Settings


def serve(config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Serve devices until SIGTERM or Ctrl-C.

    SIGHUP reads the certificate files again. Without a configuration: MQTT on 8883, HTTP on 8443, CoAP on 5684, all
    over TLS; management on 127.0.0.1:28443; data in ./data.

    The first start makes the operator admin; its API key is in the file admin-key of the data directory.
    """
    settings = settings_of(config, data_dir)
    import uvloop

    from tuhono.lifecycle import prepare_process

    start_logging(settings)
    prepare_process()
    uvloop.run(_serve(settings))


def start_logging(settings: Settings, *, level: str | None = None) -> None:
    """Records to standard error, as the settings say; from that level on, where one is given."""
    from kernel.log import configure

    as_json = None if settings.log.format == "auto" else settings.log.format == "json"
    configure(level or settings.log.level, as_json=as_json)
    for foreign in ("asyncio", "alembic", "aiohttp.access"):
        logging.getLogger(foreign).setLevel(logging.WARNING)


async def _serve(settings: Settings) -> None:
    from kernel.clock import SystemClock
    from tuhono.compose import build_gateway
    from tuhono.domain import open_databases
    from tuhono.lifecycle import Lifecycle
    from tuhono.operators import make_first_operator

    clock = SystemClock()
    store = open_databases(settings, clock)
    try:
        admin_key = make_first_operator(settings, store, clock)
        if admin_key is not None and sys.stdout.isatty():
            say(f"API key of the operator admin, shown once: {admin_key}", style="bold")
        await Lifecycle(build_gateway(settings, store, clock)).run()
    finally:
        store.close()
