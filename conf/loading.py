"""From a TOML file and the environment to Settings, or to every fault there is, at once.

Precedence, lowest first: defaults, the file, `TUHONO_<SECTION>__<KEY>`, and for the data directory
`TUHONO_DATA_DIR` and the command line. Relative paths count from where the program is started.

A variable without `__` is not ours to judge: orchestrators put names such as TUHONO_MQTT_PORT into the
environment for a service called tuhono-mqtt.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from conf.coherence import Disk, NoDisk, check_coherence
from conf.errors import FaultList
from conf.sections import DATA_DIR_DEFAULT, Settings, section_types
from conf.setting import Declared, declared_in
from conf.values import from_text, from_toml, shown_key, shown_path

ENVIRONMENT_PREFIX = "TUHONO_"
DATA_DIR_VARIABLE = "TUHONO_DATA_DIR"
FILE_MAX_BYTES = 262_144
NAME_MAX_CHARS = 80  # longer ones are near nothing we know


def load(file: Path | None, environment: Mapping[str, str], *, data_dir: Path | None) -> Settings:
    """The settings in force. Raises ConfigurationInvalid with every fault of file, environment and both.

    Reads the configuration file and looks at the paths it names; changes nothing.
    """
    reader = _Reader()
    if file is not None:
        reader.read_file(file)
    reader.read_environment(environment)
    return reader.settings(data_dir, RealDisk())


def settings_from(
    content: bytes, environment: Mapping[str, str], *, data_dir: Path | None = None, disk: Disk | None = None
) -> Settings:
    """`load` for a file's content already at hand. Without a disk, no path is looked at."""
    reader = _Reader()
    reader.read_content(content, "configuration")
    reader.read_environment(environment)
    return reader.settings(data_dir, NoDisk() if disk is None else disk)


def variable(section: str, key: str) -> str:
    """The environment variable that overrides a key."""
    return f"{ENVIRONMENT_PREFIX}{section}__{key}".upper()


class RealDisk:
    """The machine's own."""

    def fault_of_file(self, path: Path) -> str | None:
        try:
            if not path.exists():
                return "does not exist"
            if not path.is_file():
                return "is not a file"
            with path.open("rb"):
                return None
        except (OSError, ValueError) as fault:
            return f"cannot be read ({_reason(fault)})"

    def fault_of_directory(self, path: Path) -> str | None:
        """A directory not there yet is made when the process starts, so the nearest one above it counts."""
        try:
            there = next((one for one in (path, *path.parents) if one.exists()), Path("/"))
            if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
                return None
            says = "may not be written" if there.is_dir() else "is not a directory"
            return says if there == path else f"cannot be made, for {shown_path(there)} {says}"
        except (OSError, ValueError) as fault:
            return f"cannot be used ({_reason(fault)})"


class _Reader:
    """Collects values and faults, source by source; a later source overrides an earlier one."""

    def __init__(self) -> None:
        types = section_types()
        self._known = {section: {one.name: one for one in declared_in(kind)} for section, kind in types.items()}
        self._top = {one.name: one for one in declared_in(Settings)}  # data_dir
        self._values: dict[str, dict[str, Any]] = {section: {} for section in types}
        self._top_values: dict[str, Any] = {}
        self._faults = FaultList()

    def read_file(self, file: Path) -> None:
        fault = RealDisk().fault_of_file(file)
        if fault is None:
            try:
                with file.open("rb") as opened:
                    content = opened.read(FILE_MAX_BYTES + 1)
            except OSError as failure:
                fault = f"cannot be read ({_reason(failure)})"
            else:
                return self.read_content(content, str(file))
        self._faults.add(shown_path(file), fault)

    def read_content(self, content: bytes, name: str) -> None:
        for key, value in self._document(content, name).items():
            if key in self._top:
                self._take_toml(key, value, self._top[key], self._top_values)
            elif key not in self._known:
                self._unknown(shown_key(key), "section or key", key, [*self._known, *self._top])
            elif not isinstance(value, dict):
                self._faults.add(key, f"is a section: write [{key}] above its keys")
            else:
                self._read_table(key, value)

    def read_environment(self, environment: Mapping[str, str]) -> None:
        names = {variable(section, key): (section, key) for section, keys in self._known.items() for key in keys}
        for name, text in sorted(environment.items()):
            if name == DATA_DIR_VARIABLE:
                if text:
                    self._take_text("data_dir", name, text, self._top["data_dir"], self._top_values)
            elif name in names:
                section, key = names[name]
                self._take_text(f"{section}.{key}", name, text, self._known[section][key], self._values[section])
            elif name.startswith(ENVIRONMENT_PREFIX) and "__" in name:
                self._unknown(shown_key(name), "variable", name.upper(), names)

    def settings(self, data_dir: Path | None, disk: Disk) -> Settings:
        """Raises ConfigurationInvalid. A value at fault is judged in no other rule."""
        chosen = data_dir or self._top_values.get("data_dir") or DATA_DIR_DEFAULT
        sections = {section: kind(**self._values[section]) for section, kind in section_types().items()}
        settings = Settings(data_dir=chosen, **sections)
        check_coherence(settings, self._faults, disk=disk)
        self._faults.raise_if_any()
        return settings

    def _document(self, content: bytes, name: str) -> dict[str, Any]:
        if len(content) > FILE_MAX_BYTES:
            self._faults.add(shown_path(name), f"is longer than {FILE_MAX_BYTES} bytes")
            return {}
        try:
            return tomllib.loads(content.decode())
        except UnicodeDecodeError as fault:
            line = content.count(b"\n", 0, fault.start) + 1
            says = f"byte {content[fault.start]:#04x} at line {line} is not UTF-8"
        except RecursionError:
            says = "nested too deeply"
        except ValueError as fault:  # TOMLDecodeError names line and column; a plain one, a number beyond reading
            says = str(fault) if str(fault).isprintable() else ascii(str(fault))
        self._faults.add(shown_path(name), f"is not TOML: {says}")
        return {}

    def _read_table(self, section: str, table: Mapping[str, Any]) -> None:
        known = self._known[section]
        for key, value in table.items():
            path = f"{section}.{shown_key(key)}"
            if key in known:
                self._take_toml(path, value, known[key], self._values[section])
            else:
                self._unknown(path, "key", key, known)

    def _take_toml(self, path: str, value: object, declared: Declared, taken: dict[str, Any]) -> None:
        try:
            taken[declared.name] = from_toml(value, declared)
        except ValueError as fault:
            self._faults.add(path, str(fault))

    def _take_text(self, path: str, name: str, text: str, declared: Declared, taken: dict[str, Any]) -> None:
        try:
            taken[declared.name] = from_text(text, declared)
        except ValueError as fault:
            self._faults.add(path, str(fault), source=name)

    def _unknown(self, path: str, what: str, name: str, known: Iterable[str]) -> None:
        """Search for a near name only while somebody will read it: a file may hold any number of strangers."""
        is_near_possible = not self._faults.is_full and len(name) <= NAME_MAX_CHARS
        near = difflib.get_close_matches(name, known, n=1) if is_near_possible else []
        self._faults.add(path, f"unknown {what}" + (f"; did you mean {near[0]}?" if near else ""))


def _reason(fault: Exception) -> str:
    return (fault.strerror if isinstance(fault, OSError) else None) or str(fault)
