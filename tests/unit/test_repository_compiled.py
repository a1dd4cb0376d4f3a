"""What is compiled ahead of time is such as mypyc can take, and leaves no binary in the source tree.

Compiled, a class on top of another library's C struct corrupts memory, an exception loses class attributes, and a
generic dataclass with slots cannot be imported. All of that shows at run time only, so it is looked for here.
"""

import dataclasses
import enum
import importlib
import inspect
import tomllib
from pathlib import Path
from typing import Any, Generic

import pytest

ROOT = Path(__file__).parents[2]
CHOSEN: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["tuhono"]["compile"]
PATHS = [
    path for pattern in CHOSEN["modules"] for path in sorted(ROOT.glob(pattern)) if path.name not in CHOSEN["left_out"]
]
MODULES = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in PATHS]
BUILT_IN_BASES = {object, Generic, tuple}  # of a NamedTuple, which stays an ordinary class


@pytest.mark.parametrize("pattern", CHOSEN["modules"])
def test_there_is_something_to_compile_under_every_name(pattern: str) -> None:
    assert list(ROOT.glob(pattern))


@pytest.mark.parametrize("name", MODULES)
def test_classes_of_compiled_modules_are_such_as_mypyc_can_take(name: str) -> None:
    module = importlib.import_module(name)
    for cls in vars(module).values():
        if not inspect.isclass(cls) or cls.__module__ != name or issubclass(cls, enum.Enum):
            continue
        assert not issubclass(cls, BaseException), f"{cls}: exceptions stand in errors.py"
        assert not [base for base in cls.__mro__ if is_of_c(base)], f"{cls} stands on a C struct"
        if dataclasses.is_dataclass(cls) and Generic in cls.__mro__:
            assert "__slots__" not in vars(cls), f"{cls} is generic, a dataclass, and has slots"


def is_of_c(cls: type[Any]) -> bool:
    heap_type = 1 << 9  # Py_TPFLAGS_HEAPTYPE
    return cls not in BUILT_IN_BASES and not (cls.__flags__ & heap_type and "__module__" in vars(cls))


def test_no_binary_lies_beside_a_source() -> None:
    assert [binary for package in ROOT.glob("*/__init__.py") for binary in package.parent.rglob("*.so")] == []
