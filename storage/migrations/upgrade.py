"""Brings an open database up to date with Alembic. Imported only when there is something to do: it takes 0.1 s."""

import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from storage.migrations.history import LATEST
from storage.sqlite import unavailable


def upgrade(connection: sqlite3.Connection) -> None:
    """Take every step that is missing: all of them, or none. The caller's connection stays open.

    Raises StorageUnavailable.
    """
    engine = create_engine("sqlite+pysqlite://", creator=lambda: connection, poolclass=StaticPool)
    try:
        _upgrade(engine)
    except DBAPIError as fault:
        raise unavailable(fault.orig or fault) from fault


def _upgrade(engine: Engine) -> None:
    with engine.connect() as alembic_connection:
        alembic_connection.exec_driver_sql("BEGIN IMMEDIATE")
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = alembic_connection
        command.upgrade(config, LATEST)
        alembic_connection.commit()
