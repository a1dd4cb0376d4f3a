"""The edge stands on readiness callbacks of the loop, so it is shown on both: uvloop, as it serves, and asyncio's."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from tests.support.edge import TestBench


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture
def bench(tmp_path: Path) -> TestBench:
    return TestBench(tmp_path)
