"""Rows of both contracts about a message engine or a registry that does not answer.

Another process holds the file's write lock, which is all it takes. Nothing may be acknowledged, nothing may
be half made, and once the lock is gone everything works again without help.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from storage.database import DATABASE_FILE
from tests.support.attempts import ACCEPTED, PROTOCOLS, UNAVAILABLE, attempt
from tests.support.certificates import Issued
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.site import Site, open_site
from tests.support.waiting import until_blocking
from tests.support.wire_clients import DISCONNECT, coap_device, connected_mqtt, http_device
from tuhono.domain import LOG_FILE

each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)
MAX_AGE = 14


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway that waits for neither file for long."""
    patience = {"busy_timeout_s": 0.3}
    registry = {"notification_retry_s": 0.5}
    folder = tmp_path_factory.mktemp("impatient")
    with running_gateway(folder, storage=patience, messaging=patience, registry=registry) as started:
        yield started


@pytest.fixture
def site(impatient: RunningGateway) -> Site:
    return open_site(impatient, may_auto_provision=True)


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Nobody else writes to the database meanwhile; reading goes on."""
    with closing(sqlite3.connect(file, isolation_level=None, timeout=10)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def known(site: Site) -> Issued:
    return site.register("dev")


@pytest.mark.parametrize("kind", ["telemetry", "event"])
def test_hono_adapters_77_without_its_engine_http_says_when_to_come_again(site: Site, kind: str) -> None:
    with http_device(site.gateway, known(site)) as client:
        with held(site.gateway.data_dir / LOG_FILE):
            answer = client.post(f"/{kind}")
        assert (answer.status, answer.headers["retry-after"]) == (503, "2")
        assert json.loads(answer.body) == {"error": "temporarily unavailable"}
        assert client.post(f"/{kind}", b"again").status == 202
    assert [message.payload for message in site.messages()] == [b"again"]


async def test_hono_adapters_220_without_its_engine_coap_says_when_to_come_again(site: Site) -> None:
    async with coap_device(site.gateway, known(site)) as client:
        with held(site.gateway.data_dir / LOG_FILE):
            answer = await client.ask(2, "/event", b"x")
        assert (answer.spelled, answer.option(MAX_AGE)) == ("5.03", b"\x02")
        assert (await client.ask(2, "/event", b"again")).spelled == "2.04"
    assert [message.payload for message in site.messages()] == [b"again"]


@pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5"])
def test_without_its_engine_mqtt_acknowledges_nothing_and_disconnects(site: Site, version: int) -> None:
    with connected_mqtt(site.gateway, known(site), version=version) as client:
        with held(site.gateway.data_dir / LOG_FILE):
            client.publish("event", b"x", qos=1)
            packet = client.read()
        if version == 5:
            assert packet is not None and (packet.first, packet.body[0]) == (DISCONNECT, 0x89)
        else:
            assert packet is None
    assert site.messages() == []


@each_protocol
async def test_hono_registry_208_212_a_notification_that_cannot_be_kept_holds_the_device_back_until_it_is(
    site: Site, protocol: str
) -> None:
    stranger = site.issue()
    with held(site.gateway.data_dir / LOG_FILE):
        assert await attempt(protocol, site.gateway, stranger) == UNAVAILABLE[protocol]
        device = site.only_device()
        assert device.status.auto_provisioned and not device.status.notification_sent
    assert await attempt(protocol, site.gateway, stranger) == ACCEPTED[protocol]
    until_blocking(lambda: site.only_device().status.notification_sent)
    assert site.only_device().device_id == device.device_id
    assert {event.device_id for event in site.notifications()} == {device.device_id}
    assert site.gateway.messages(site.tenant_id)[0].payload is None, "the notification comes first"


@each_protocol
async def test_hono_registry_209_210_without_its_registry_a_stranger_is_told_to_come_again_and_nothing_is_half_made(
    site: Site, protocol: str
) -> None:
    stranger = site.issue()
    with held(site.gateway.data_dir / DATABASE_FILE):
        assert await attempt(protocol, site.gateway, stranger) == UNAVAILABLE[protocol]
    assert site.device_ids() == [] and site.notifications() == []
    assert await attempt(protocol, site.gateway, stranger) == ACCEPTED[protocol]
    assert len(site.device_ids()) == len(site.notifications()) == 1


@each_protocol
async def test_a_known_device_needs_no_write_to_the_registry(site: Site, protocol: str) -> None:
    device = known(site)
    with held(site.gateway.data_dir / DATABASE_FILE):
        assert await attempt(protocol, site.gateway, device) == ACCEPTED[protocol]
    site.wait_for_message()
