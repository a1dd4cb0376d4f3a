"""Gateways that the tests with other people's clients share, one of each kind a process."""

from collections.abc import Iterator

import pytest

from tests.support.gateway import RunningGateway, running_gateway
from tests.support.site import Site, open_site


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """As a newly installed one is."""
    with running_gateway(tmp_path_factory.mktemp("gateway")) as started:
        yield started


@pytest.fixture(scope="session")
def open_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """One whose CoAP adapter takes anonymous peers on a plain port."""
    coap = {"authentication_required": False, "insecure_port": 0}
    with running_gateway(tmp_path_factory.mktemp("open-gateway"), coap=coap) as started:
        yield started


@pytest.fixture
def site(gateway: RunningGateway) -> Site:
    """A tenant of the test's own that registers whom its CA vouches for."""
    return open_site(gateway, may_auto_provision=True)
