"""Configuration from real files: what cannot be read is a fault with its path, never an exception."""

import os
from pathlib import Path

import pytest

from conf.errors import ConfigurationInvalid
from conf.loading import FILE_MAX_BYTES, load


def faults_of(file: Path | None, environment: dict[str, str] | None = None, data_dir: Path | None = None) -> list[str]:
    with pytest.raises(ConfigurationInvalid) as caught:
        load(file, environment or {}, data_dir=data_dir)
    return [str(fault) for fault in caught.value.faults]


def test_a_file_is_read_and_its_paths_are_looked_at(tmp_path: Path) -> None:
    for name in ("server.pem", "server.key"):
        (tmp_path / name).touch()
    file = tmp_path / "tuhono.toml"
    file.write_text(
        f'data_dir = "{tmp_path}/data"\n'
        f'[edge]\ncertificate_file = "{tmp_path}/server.pem"\nkey_file = "{tmp_path}/server.key"\n'
    )
    settings = load(file, {}, data_dir=None)
    assert settings.data_dir == tmp_path / "data"
    assert not settings.data_dir.exists()
    assert settings.edge.key_file == tmp_path / "server.key"


def test_without_a_file_the_defaults_hold() -> None:
    assert load(None, {}, data_dir=None).data_dir == Path("data")


def test_a_file_that_cannot_be_read_is_one_fault_beside_those_of_the_environment(tmp_path: Path) -> None:
    environment = {"TUHONO_MQTT__PORT": "x"}
    missing, folder, pipe = tmp_path / "missing.toml", tmp_path / "folder", tmp_path / "pipe"
    folder.mkdir()
    os.mkfifo(pipe)
    for file, says in ((missing, "does not exist"), (folder, "is not a file"), (pipe, "is not a file")):
        faults = faults_of(file, environment)
        assert faults[0] == f"{file}: {says}"
        assert len(faults) == 2
    assert faults_of(Path("nul\0byte"))[0].startswith("'nul\\x00byte': ")
    assert "cannot be read (File name too long)" in faults_of(Path("x" * 5000))[0]


def test_a_file_that_opens_and_then_fails_is_a_fault() -> None:
    assert faults_of(Path("/proc/self/mem")) == ["/proc/self/mem: cannot be read (Input/output error)"]


def test_an_endless_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "tuhono.toml"
    with file.open("wb") as opened:
        opened.truncate(1 << 40)
    assert faults_of(file) == [f"{file}: is longer than {FILE_MAX_BYTES} bytes"]


def test_a_syntax_fault_names_file_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "tuhono.toml"
    file.write_text("[mqtt]\nport = = 1\n")
    assert faults_of(file) == [f"{file}: is not TOML: Invalid value (at line 2, column 8)"]


def test_named_files_and_directories_that_cannot_be_used_are_faults(tmp_path: Path) -> None:
    occupied = tmp_path / "occupied"
    occupied.touch()
    environment = {
        "TUHONO_EDGE__CERTIFICATE_FILE": str(tmp_path / "absent.pem"),
        "TUHONO_EDGE__KEY_FILE": str(tmp_path),
    }
    assert faults_of(None, environment, data_dir=occupied) == [
        f"edge.certificate_file: {tmp_path}/absent.pem does not exist",
        f"edge.key_file: {tmp_path} is not a file",
        f"data_dir: {occupied} is not a directory",
    ]
    assert faults_of(None, {"TUHONO_DATA_DIR": str(occupied / "a/b")}) == [
        f"data_dir: {occupied}/a/b cannot be made, for {occupied} is not a directory"
    ]
