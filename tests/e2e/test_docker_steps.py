"""Every step of the Dockerfile, run as the image's build would run it, in a directory of its own."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.served import Management

ROOT = Path(__file__).parents[2]
STEPS = ROOT / "scripts" / "docker"


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)),
        env=os.environ | {"PYTHON": sys.executable} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )


def copy_of_context(target: Path) -> Path:
    """What `docker build` would send: the files that .dockerignore lets through."""
    let_through = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for name in filter(lambda name: (ROOT / name).exists(), let_through):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, target / name)
    return target


def quick_compiler(folder: Path) -> Mapping[str, str]:
    """Which compiler to run: one that compiles in half the time, for here nothing is measured."""
    compiler = shutil.which(os.environ.get("CC") or "gcc")
    if compiler is None:
        return {}
    quick = folder / "cc"
    quick.write_text(f'#!/bin/sh\nexec {compiler} "$@" -O0\n')
    quick.chmod(0o755)
    return {"CC": str(quick)}


@pytest.mark.timeout(600)
def test_wheels_are_built_and_installed_from_the_context_alone(tmp_path: Path) -> None:
    source = copy_of_context(tmp_path / "source")
    wheels, target = tmp_path / "wheels", tmp_path / "target"
    compiler = quick_compiler(tmp_path)
    built = run(source / "scripts/docker/build-wheel", source, wheels, **compiler)
    assert built.returncode == 0, built.stderr
    (wheel,) = wheels.glob("tuhono-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        inside = set(opened.namelist())
    packages = [marker.parent for marker in ROOT.glob("*/__init__.py")]
    sources = {str(path.relative_to(ROOT)) for package in packages for path in package.rglob("*.py")}
    assert sources <= inside, f"not in the wheel: {sorted(sources - inside)}"
    assert {"conf/examples/development.toml", "conf/examples/production.toml"} <= inside
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in inside)
    can_compile = run(source / "scripts/packages", "compile", "--check", **compiler).returncode == 0
    assert any(name.startswith("adapters/mqtt/shell.") and name.endswith(".so") for name in inside) is can_compile

    installed = run(source / "scripts/docker/install", wheels, target)
    assert installed.returncode == 0, installed.stderr
    loaded = run(target / "bin/python", "-I", "-c", "import tuhono.compose, tuhono.cli.device")  # not from ROOT
    assert loaded.returncode == 0, loaded.stderr
    help_ = run(target / "bin/tuhono", "--help")
    assert help_.returncode == 0, help_.stderr
    assert "serve" in help_.stdout
    assert ("compiled" in run(target / "bin/tuhono", "--version").stdout) is can_compile


def test_the_dockerfile_runs_only_steps_that_are_scripts_and_ends_as_nobody_special() -> None:
    text = (ROOT / "Dockerfile").read_text()
    for name in re.findall(r"(?:scripts/docker|libexec/tuhono)/([a-z-]+)", text):
        assert os.access(STEPS / name, os.X_OK), name
    assert {path.name for path in STEPS.iterdir()} == {"build-wheel", "install", "healthcheck"}
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE)[-1] == "10001"
    assert "HEALTHCHECK" in text


async def test_the_healthcheck_tells_alive_from_dead(tmp_path: Path) -> None:
    management = Management(tmp_path)
    server = management.server
    reason: list[str | None] = [None]
    management.health.add_liveness("writer", lambda: reason[0])
    await server.start()
    port = str(server.port)
    try:
        assert await _healthcheck(port) == 0
        reason[0] = "stopped"
        assert await _healthcheck(port) == 1
    finally:
        await server.close()
    assert await _healthcheck(port) == 1


async def _healthcheck(port: str) -> int:
    environment = os.environ | {"TUHONO_MANAGEMENT__PORT": port}
    process = await asyncio.create_subprocess_exec(
        sys.executable, STEPS / "healthcheck", env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait()
