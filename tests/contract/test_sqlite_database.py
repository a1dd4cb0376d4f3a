"""The SQLite file itself: who may read it, how old it may be, and that its tables are what the schema says."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import storage.migrations
from conf.storage import StorageSettings
from kernel.errors import TuhonoError
from registry.errors import StorageUnavailable
from storage.database import open_database
from storage.errors import StorageForeign, StorageTooNew
from storage.migrations.history import LATEST, REVISIONS
from storage.schema import metadata

SETTINGS = StorageSettings(busy_timeout_s=0.2)
MIGRATIONS = Path(storage.migrations.__file__).parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "registry.db"


def executed(path: Path, *statements: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return [row for statement in statements for row in connection.execute(statement).fetchall()]


def tables(path: Path) -> dict[str, str]:
    listed = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name NOT LIKE 'alembic%'"
    return {str(name): " ".join(str(sql).split()) for name, sql in executed(path, listed)}


def test_migrations_and_schema_make_the_same_tables(path: Path, tmp_path: Path) -> None:
    open_database(path, SETTINGS)
    made = tmp_path / "made.db"
    engine = create_engine(f"sqlite+pysqlite:///{made}")
    metadata.create_all(engine)
    engine.dispose()
    assert len(tables(path)) >= 10
    assert tables(path) == tables(made)


def test_alembic_finds_nothing_left_to_migrate(path: Path) -> None:
    open_database(path, SETTINGS)
    engine = create_engine(f"sqlite+pysqlite:///{path}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_the_history_lists_every_step_in_order() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    steps = list(ScriptDirectory.from_config(config).walk_revisions())
    assert tuple(step.revision for step in reversed(steps)) == REVISIONS


def test_file_and_directory_are_their_owners_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        database = open_database(path, SETTINGS)
        with closing(database.connect_writer()) as writer:
            writer.execute("BEGIN IMMEDIATE")
            names = {entry.name: entry.stat().st_mode & 0o777 for entry in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert set(names.values()) == {0o600}
    assert {"registry.db", "registry.db-wal", "registry.db-shm"} <= names.keys()
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_was_there_keeps_its_permissions(path: Path) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o750)
    open_database(path, SETTINGS)
    assert path.parent.stat().st_mode & 0o777 == 0o750


def test_migrating_tells_where_it_came_from_and_is_safe_to_repeat(path: Path) -> None:
    made, found = open_database(path, SETTINGS), open_database(path, SETTINGS)
    assert (made.migrated_from, made.revision) == ("", LATEST)
    assert (found.migrated_from, found.revision) == (None, LATEST)  # None: it was up to date


def test_a_database_of_a_newer_release_is_refused_and_left_alone(path: Path) -> None:
    open_database(path, SETTINGS)
    executed(path, "UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    with pytest.raises(StorageTooNew, match="revision 9999") as refusal:
        open_database(path, SETTINGS)
    assert refusal.value.code == "storage-too-new"
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    executed(path, "CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(StorageForeign):
        open_database(path, SETTINGS)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database at all, just text" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_told_by_name(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StorageUnavailable):
        open_database(path, SETTINGS)
    assert path.read_bytes() == content


def test_a_place_that_cannot_be_written_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TuhonoError) as refusal:
        open_database(tmp_path / "file" / "registry.db", SETTINGS)
    assert refusal.value.code == "storage-unavailable"


def test_a_migration_that_fails_leaves_nothing_behind(path: Path) -> None:
    path.parent.mkdir()
    executed(path, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)", "CREATE TABLE audit (x)")
    before = tables(path)
    with pytest.raises(StorageUnavailable, match="audit already exists"):
        open_database(path, SETTINGS)
    assert tables(path) == before
    assert executed(path, "SELECT * FROM alembic_version") == []


def test_a_migration_waits_no_longer_than_it_is_told(path: Path) -> None:
    path.parent.mkdir()
    executed(path, "PRAGMA journal_mode = WAL")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnavailable, match="locked"):
            open_database(path, SETTINGS)
    assert open_database(path, SETTINGS).migrated_from == ""


def test_commits_reach_the_disk_and_readers_wait_for_nobody(path: Path) -> None:
    database = open_database(path, SETTINGS)
    with closing(database.connect_writer()) as writer, closing(database.connect_reader()) as reader:
        assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert writer.execute("PRAGMA synchronous").fetchone() == (2,)
        assert writer.execute("PRAGMA foreign_keys").fetchone() == (1,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.execute("DELETE FROM tenants")


def test_a_start_without_migration_loads_neither_alembic_nor_sqlalchemy(path: Path) -> None:
    open_database(path, SETTINGS)
    program = """
import sys
from pathlib import Path
from tests.support.stores import open_sqlite
open_sqlite(Path(sys.argv[1])).close()
print(sorted({"alembic", "sqlalchemy"} & sys.modules.keys()))
"""
    told = subprocess.run(
        [sys.executable, "-c", program, str(path.parent)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "[]\n"
