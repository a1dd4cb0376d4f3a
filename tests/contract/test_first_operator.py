"""The first start makes one administrator, whatever else starts at that moment, and its key reaches the file."""

import threading
from pathlib import Path

import pytest

from conf.operators import OperatorSettings
from conf.sections import Settings
from kernel.clock import SystemClock
from tenant.operators import digest_of
from tests.support.stores import open_sqlite
from tuhono import operators
from tuhono.errors import TokenKeyUnusable
from tuhono.operators import ADMIN_KEY_FILE, TOKEN_KEY_FILE, make_first_operator, token_key
from tuhono.secret_files import read_or_make, write_secret


def test_many_at_once_make_one(tmp_path: Path) -> None:
    open_sqlite(tmp_path).close()
    settings, made = Settings(data_dir=tmp_path), list[str | None]()
    barrier = threading.Barrier(8)

    def start() -> None:
        store = open_sqlite(tmp_path)
        barrier.wait()
        made.append(make_first_operator(settings, store, SystemClock()))
        store.close()

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [secret] = [one for one in made if one is not None]
    store = open_sqlite(tmp_path)
    found = store.operators.find_by_key(digest_of(secret))
    assert found is not None
    assert found[0].is_full_administrator
    assert [one.name for one in store.operators.find_all(after=None, limit=10)] == ["admin"]
    store.close()
    path = tmp_path / ADMIN_KEY_FILE
    assert path.read_text() == secret + "\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".admin")] == []


def test_where_the_key_cannot_be_kept_nobody_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(operators, "write_secret", full)
    store = open_sqlite(tmp_path)
    with pytest.raises(OSError, match="disk full"):
        make_first_operator(Settings(data_dir=tmp_path), store, SystemClock())
    assert not store.has_operators()
    store.close()


def test_where_operators_are_on_record_nobody_is_made(tmp_path: Path) -> None:
    store, settings = open_sqlite(tmp_path), Settings(data_dir=tmp_path)
    assert make_first_operator(settings, store, SystemClock()) is not None
    (tmp_path / ADMIN_KEY_FILE).unlink()
    assert make_first_operator(settings, store, SystemClock()) is None
    assert not (tmp_path / ADMIN_KEY_FILE).exists()
    store.close()


def test_the_key_of_tokens_is_made_once_or_is_the_one_named(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    made = token_key(settings)
    assert len(made) == 64
    assert token_key(settings) == made
    assert (tmp_path / TOKEN_KEY_FILE).stat().st_mode & 0o777 == 0o600
    named = tmp_path / "named"
    named.write_text("k" * 32 + "\n")
    chosen = Settings(data_dir=tmp_path, operators=OperatorSettings(token_key_file=named))
    assert token_key(chosen) == b"k" * 32
    named.write_bytes(b"\xff\xfe" * 16)
    assert token_key(chosen) == b"\xff\xfe" * 16
    named.write_bytes(b"\xff" * 11)
    with pytest.raises(TokenKeyUnusable, match="named"):
        token_key(chosen)
    named.write_text("k" * 31 + "\n")
    with pytest.raises(TokenKeyUnusable, match="named"):
        token_key(chosen)


def test_a_secret_file_is_its_owners_alone_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "made" / "secret"
    write_secret(path, "one")
    write_secret(path, "two")
    assert path.read_text() == "two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [one.name for one in path.parent.iterdir()] == ["secret"]


def test_processes_that_make_a_secret_together_share_one(tmp_path: Path) -> None:
    found = list[str]()
    barrier = threading.Barrier(8)

    def make(number: int) -> None:
        barrier.wait()
        found.append(read_or_make(tmp_path / "key", f"key {number}"))

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["key"]
