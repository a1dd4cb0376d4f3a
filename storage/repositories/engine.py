"""SQLAlchemy's way to the database: reading and writing transactions, and foreign faults in our own words."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from storage.bell import ChangeBell
from storage.database import Database
from storage.errors import NameUnstorable
from storage.sqlite import unavailable

CONNECTIONS_KEPT_MAX = 4
CONNECTIONS_MAX = 16
_WRITES = "tuhono_writes"
_BELL = "tuhono_bell"


def make_engine(database: Database) -> Engine:
    """Connections are made when asked for; `dispose` closes them."""
    engine = create_engine(
        "sqlite+pysqlite://",
        creator=database.connect_writer,
        poolclass=QueuePool,
        pool_size=CONNECTIONS_KEPT_MAX,
        max_overflow=CONNECTIONS_MAX - CONNECTIONS_KEPT_MAX,
        pool_timeout=database.settings.busy_timeout_s,
        execution_options={_BELL: database.bell()},
    )
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """All reads inside see one moment. Raises StorageUnavailable, NameUnstorable."""
    with _translated(), engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Nobody else writes meanwhile, so what was checked inside still holds at its end. Processes that serve devices
    are told.

    Raises StorageUnavailable, NameUnstorable; whatever is raised inside undoes everything.
    """
    with _translated(), engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
        yield connection
    bell: ChangeBell = engine.get_execution_options()[_BELL]
    bell.ring()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except UnicodeEncodeError as fault:
        raise NameUnstorable(f"database: {fault}") from fault
    except DBAPIError as fault:
        if isinstance(fault.orig, sqlite3.DataError):
            raise NameUnstorable(f"database: {fault.orig}") from fault
        raise unavailable(fault.orig or fault) from fault
    except SQLAlchemyError as fault:
        raise unavailable(fault) from fault
