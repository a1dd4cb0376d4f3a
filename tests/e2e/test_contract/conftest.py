"""Gateways that the contract tests share, one of each kind a process. A test has its own tenant, not a gateway."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.gateway import RunningGateway, running_gateway
from tests.support.management import ManagementClient, operator_of

AS_HONO: dict[str, dict[str, Any]] = {
    "mqtt": {"take_over": False},
    "registry": {"notification_retry_s": 1.0},
    "operators": {"login_free_tries": 1000},  # many tests show wrong credentials, all from one address
}


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """As a newly installed one is, but for take-over: off, as Eclipse Hono has it; and quick to send events again."""
    with running_gateway(tmp_path_factory.mktemp("gateway"), **AS_HONO) as started:
        yield started


@pytest.fixture(scope="session")
def open_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """One whose CoAP adapter takes anonymous peers, on a plain port and on the secure one."""
    coap = {"authentication_required": False, "insecure_port": 0}
    with running_gateway(tmp_path_factory.mktemp("open-gateway"), coap=coap) as started:
        yield started


@pytest.fixture
def registry(gateway: RunningGateway) -> Iterator[ManagementClient]:
    """An operator of everything, at the gateway all share: every test takes tenants of its own."""
    with operator_of(gateway) as client:
        yield client
