"""Shapes of the management API keep within the memory their library takes for them.

msgspec 0.22 writes beyond it for a union of a list and a text with a pattern; a process then dies when it ends, or
before. Python's debugging allocator notices, in a process of its own.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EVERY_SHAPE = """
import importlib, pkgutil, msgspec
found = set()
for room in ("dialects", "management"):
    for module in pkgutil.walk_packages(importlib.import_module(room).__path__, room + "."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, msgspec.Struct) and value is not msgspec.Struct:
                found.add(value)
for shape in found:
    msgspec.json.Decoder(shape)
print(len(found))
"""


def process(program: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONMALLOC": "debug"}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def test_every_shape_keeps_within_its_memory() -> None:
    done = process(EVERY_SHAPE)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30
