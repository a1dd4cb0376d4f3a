"""What the repository says of itself is so: examples load, generated pages are current, links lead somewhere."""

import os
import re
import tomllib
from pathlib import Path

import pytest

from conf.describing import describe
from conf.loading import settings_from
from conf.sections import section_types
from tuhono.operating import describe_api

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "conf/examples").glob("*.toml"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BESIDE = {"tests", "benchmarks"}  # packages that are no rooms
ROOMS = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()} - BESIDE
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_reference_of_settings_is_what_the_settings_say() -> None:
    assert (ROOT / "docs/reference/configuration.md").read_text() == describe(), "run scripts/docs"


def test_the_description_of_the_api_is_what_its_routes_say() -> None:
    assert (ROOT / "docs/reference/openapi.json").read_text() == describe_api(), "run scripts/docs"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_loads_without_a_fault(example: Path) -> None:
    settings = settings_from(example.read_bytes(), {})
    assert settings.mqtt.authentication_required


def test_the_production_example_opens_no_plain_port_and_logs_for_machines() -> None:
    settings = settings_from((ROOT / "conf/examples/production.toml").read_bytes(), {})
    ports = [getattr(settings, section).insecure_port for section in ("mqtt", "http", "coap", "management")]
    assert ports == [None] * 4
    assert settings.log.format == "json"
    assert settings.edge.certificate_file is not None


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_line_of_an_example_is_explained(example: Path) -> None:
    """A comment stands above each line, or above the unbroken lines of keys that it belongs to."""
    explained = False
    for line in example.read_text().splitlines():
        if line.startswith("#"):
            explained = True
        elif "=" in line:
            assert explained, line
        else:  # a section or an empty line: a new comment is due
            explained = False
        assert not line.startswith("[") or line.strip("[]") in section_types(), line


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_a_page_names_exists(page: Path) -> None:
    pattern = r"`((?:scripts|conf|docs|tests|adapters|kernel|registry|tuhono|pki|tenant|storage|messaging)/[\w./-]+)`"
    for target in re.findall(pattern, page.read_text()):
        assert (ROOT / target).exists(), target


def test_scripts_can_be_run_and_stop_at_the_first_fault() -> None:
    scripts = [path for folder in ("scripts", "scripts/docker", ".ci") for path in (ROOT / folder).iterdir()]
    for script in (path for path in scripts if path.is_file()):
        first = script.read_text().splitlines()[0]
        assert os.access(script, os.X_OK), script
        assert first.startswith("#!/usr/bin/env "), script
        assert first.endswith("python3") or "set -euo pipefail" in script.read_text(), script


def test_every_program_that_tests_need_is_installed_by_the_scripts() -> None:
    pattern = r'(?:needs_tool\(|\btool\()((?:"[\w.-]+"(?:, )?)+)'
    sources = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    needed = {
        name for text in sources for names in re.findall(pattern, text) for name in re.findall(r'"([^"]+)"', names)
    }
    listed = set(re.findall(r"^([\w.-]+) +[\w.-]+ +test\b", (ROOT / "scripts/packages").read_text(), re.MULTILINE))
    assert needed <= listed


def test_every_room_is_packaged_typed_measured_and_under_contract() -> None:
    assert {pattern.rstrip("*") for pattern in PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"]} == ROOMS
    assert set(PYPROJECT["tool"]["importlinter"]["root_packages"]) == ROOMS
    assert set(PYPROJECT["tool"]["coverage"]["run"]["source_pkgs"]) == ROOMS
    assert PYPROJECT["tool"]["mypy"]["files"] == ["."]
    (layers,) = (one for one in PYPROJECT["tool"]["importlinter"]["contracts"] if one["name"] == "Layers")
    assert {room for layer in layers["layers"] for room in layer.split(" | ")} == ROOMS
