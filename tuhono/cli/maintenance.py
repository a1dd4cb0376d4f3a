"""`tuhono check-config` and `tuhono migrate`."""

from typing import Annotated

import typer

from storage.database import DATABASE_FILE, open_database
from tuhono.cli.context import ConfigFile, DataDir, faults_told, settings_of
from tuhono.cli.output import out


def check_config(
    config: ConfigFile = None,
    data_dir: DataDir = None,
    show: Annotated[bool, typer.Option("--show", help="Print every setting in force.")] = False,
) -> None:
    """Check a configuration and name every fault in it. Changes nothing. Exit status 2: it has faults."""
    with faults_told():
        settings = settings_of(config, data_dir)
    out.print("the configuration is fine")
    if show:
        out.print(settings)


def migrate(config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Bring the databases to this version. `tuhono serve` does the same when it starts."""
    with faults_told():
        settings = settings_of(config, data_dir)
        database = open_database(settings.data_dir / DATABASE_FILE, settings.storage)
    if database.migrated_from is None:
        out.print(f"{database.path} is up to date ({database.revision})", markup=False)
    else:
        out.print(
            f"migrated {database.path} from {database.migrated_from or 'nothing'} to {database.revision}", markup=False
        )
