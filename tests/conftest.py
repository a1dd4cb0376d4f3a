"""What every test may lean on: tools of the machine, and a Hypothesis profile for shared cores.

A test that needs a program nobody here wrote says so with `@pytest.mark.needs_tool("mosquitto_pub")` or asks
for the `tool` fixture. Where the program is missing the test is skipped and says why; with
TUHONO_REQUIRE_ALL=1, as CI sets it, it fails instead, so that nothing goes untested unnoticed.

`scripts/test --compiled` runs tests on the compiled modules, in this process and in those that tests start. A test
whose fake inherits from a compiled class, or that changes what is inside one, is marked `interpreted`.
"""

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec

import pytest
from hypothesis import HealthCheck, settings

Tool = Callable[[str], str]

# A deadline per example measures the neighbours on a shared core, not the code.
settings.register_profile("tuhono", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tuhono")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "needs_tool(name, ...): programs the test runs; skipped where one is missing (fails in CI)"
    )
    config.addinivalue_line("markers", "interpreted: the test cannot be run on compiled modules")
    hot = find_spec("adapters.mqtt.shell")
    if os.environ.get("TUHONO_TESTED") == "compiled" and (hot is None or str(hot.origin).endswith(".py")):
        pytest.exit("the compiled modules are not what is tested", returncode=1)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs_tool"):
        for name in marker.args:
            find_tool(name)


def find_tool(name: str) -> str:
    """The program's path; daemons count too, though Debian keeps them off a person's PATH."""
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    path = shutil.which(name, path=places)
    if path is not None:
        return path
    reason = f"{name} is not installed: see scripts/packages"
    if os.environ.get("TUHONO_REQUIRE_ALL") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def tool() -> Tool:
    """`tool("curl")` is the program's path; where it is missing the test is skipped, or fails in CI."""
    return find_tool
