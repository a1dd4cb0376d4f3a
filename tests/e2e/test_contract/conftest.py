"""Gateways that the contract tests share, one of each kind a process. A test has its own tenant, not a gateway."""

from collections.abc import Iterator

import pytest

from tests.support.gateway import RunningGateway, running_gateway


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """As a newly installed one is, but for take-over: off, as Eclipse Hono has it."""
    with running_gateway(tmp_path_factory.mktemp("gateway"), mqtt={"take_over": False}) as started:
        yield started


@pytest.fixture(scope="session")
def open_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """One whose CoAP adapter takes anonymous peers, on a plain port and on the secure one."""
    coap = {"authentication_required": False, "insecure_port": 0}
    with running_gateway(tmp_path_factory.mktemp("open-gateway"), coap=coap) as started:
        yield started
