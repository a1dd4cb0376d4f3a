"""`tuhono check-config` and `tuhono migrate`."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, is_dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from tuhono.cli.context import AsJson, ConfigFile, DataDir, settings_of
from tuhono.cli.output import print_json, say

if TYPE_CHECKING:
    from conf.sections import Settings


def check_config(
    config: ConfigFile = None,
    data_dir: DataDir = None,
    show: Annotated[bool, typer.Option("--show", help="Print every setting in force.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check a configuration and name every fault in it.

    Reads the certificates it names, too. Changes nothing. Exit status 2: it has faults.
    """
    settings = settings_of(config, data_dir)
    for section in (settings.edge, settings.management):
        if section.certificate_file is not None and section.key_file is not None:
            from adapters.edge.identity import IdentityFiles  # takes 0.1 s, which few need

            IdentityFiles(certificate_file=section.certificate_file, key_file=section.key_file).read()
    if as_json:
        print_json({"valid": True, **({"settings": asdict(settings)} if show else {})})
        return
    say("# the configuration is fine" if show else "the configuration is fine")
    if show:
        _print_toml(settings)


def migrate(config: ConfigFile = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Bring the databases to this version.

    `tuhono serve` does the same when it starts.
    """
    from storage.database import DATABASE_FILE, open_database

    settings = settings_of(config, data_dir)
    database = open_database(settings.data_dir / DATABASE_FILE, settings.storage)
    before, path = database.migrated_from, str(database.path)
    if as_json:
        print_json({"database": path, "before": database.revision if before is None else before or None,
                    "after": database.revision})  # fmt: skip
    elif before is None:
        say(f"{path} is up to date ({database.revision})")
    elif before == "":
        say(f"made {path} ({database.revision})")
    else:
        say(f"migrated {path} from {before} to {database.revision}")


def _print_toml(settings: Settings) -> None:
    """As a configuration file would say it; what is unset stands as a comment."""
    say(f"data_dir = {_toml(str(settings.data_dir))}")
    for section in fields(settings):
        values = getattr(settings, section.name)
        if is_dataclass(values):
            say(f"\n[{section.name}]")
            for key in fields(values):
                value = getattr(values, key.name)
                say(f"# {key.name} is unset" if value is None else f"{key.name} = {_toml(value)}")


def _toml(value: object) -> str:
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return json.dumps(str(value), ensure_ascii=False)
