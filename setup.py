"""Builds the package: pure Python, or with TUHONO_COMPILE=1 a wheel whose hot modules mypyc has compiled.

All else stands in pyproject.toml, the list of those modules too. A compiled wheel holds the sources as well: Python
prefers what is compiled, and tracebacks name the line. An editable install is never compiled: a compiled module
beside its source would hide every later change of it. Developers use scripts/compile.
"""

import os
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# Types are checked by scripts/check, strictly; here they only tell the compiler what it may rely on.
MYPY = ("--config-file=", "--follow-imports=silent", "--ignore-missing-imports", "--no-error-summary")


class CompileInParallel(build_ext):  # type: ignore[misc]  # setuptools has no types
    """Hands the files of an extension to the C compiler side by side: nearly all are in one extension."""

    def build_extensions(self) -> None:
        compile_in_turn = self.compiler.compile

        def compile_at_once(sources: list[str], **options: Any) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return list(chain.from_iterable(pool.map(lambda source: compile_in_turn([source], **options), sources)))

        self.compiler.compile = compile_at_once
        super().build_extensions()


def extensions(modules: list[str], left_out: list[str]) -> list[Extension]:
    """What the patterns match, as one group: calls within it are C calls."""
    from mypyc.build import mypycify  # installed for such a build only

    found: list[str] = []
    for pattern in modules:
        paths = [str(path) for path in sorted(Path().glob(pattern)) if path.name not in left_out]
        assert paths, f"tool.tuhono.compile: no module matches {pattern}"
        found += paths
    made = mypycify([*MYPY, *found], opt_level="2", multi_file=True, group_name="tuhono")
    for extension in made:  # a newer C compiler's advice must not end a build
        extension.extra_compile_args = [flag for flag in extension.extra_compile_args if flag != "-Werror"]
    return made


with open("pyproject.toml", "rb") as file:
    document = tomllib.load(file)
project = document["project"]
if os.environ.get("TUHONO_COMPILE", "") in {"", "0"}:
    setup()
else:
    setup(
        # The build front end installs these: mypyc, and what our modules import, for it reads their types.
        setup_requires=[*project["optional-dependencies"]["compile"], *project["dependencies"]],
        ext_modules=extensions(**document["tool"]["tuhono"]["compile"]) if "bdist_wheel" in sys.argv else [],
        cmdclass={"build_ext": CompileInParallel},
    )
