"""What is built from the sources, with and without a compiler. The compiled wheel is test_docker_steps' to build."""

import ast
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def sources(folder: Path) -> Path:
    """Enough to build from: a build leaves its traces where it runs."""
    folder.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "kernel", folder / "kernel", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)),
        env=os.environ | environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.mark.parametrize(("asked", "is_needed"), [("", False), ("0", False), ("1", True)])
def test_a_build_wants_mypyc_only_where_compiling_is_asked_for(asked: str, is_needed: bool, tmp_path: Path) -> None:
    ask = "from setuptools import build_meta; print(build_meta.get_requires_for_build_wheel())"
    built = run(sys.executable, "-c", ask, cwd=sources(tmp_path / "source"), TUHONO_COMPILE=asked)
    assert built.returncode == 0, built.stderr
    needed = ast.literal_eval(built.stdout.splitlines()[-1])
    assert any(name.startswith("mypy") for name in needed) is is_needed


def test_an_ordinary_wheel_is_pure_python(tmp_path: Path) -> None:
    built = run(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps",
        "--no-build-isolation", "--wheel-dir", tmp_path, sources(tmp_path / "source"), TUHONO_COMPILE="",
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("tuhono-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as opened:
        assert "kernel/meters.py" in opened.namelist()
        assert not [name for name in opened.namelist() if name.endswith(".so")]


def test_without_a_compiler_nothing_is_compiled_and_it_is_said() -> None:
    tried = run(ROOT / "scripts/compile", "--check", CC="no-such-compiler")
    assert tried.returncode == 3
    assert tried.stdout == ""
    assert "Tuhono runs interpreted" in tried.stderr
