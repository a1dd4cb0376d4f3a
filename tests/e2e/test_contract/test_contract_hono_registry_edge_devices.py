"""Section 5.2 of the Hono registry contract: gateways that have devices registered, over every protocol, by row number.

What needs a failing engine, or two that come in one instant, stands in tests/contract/test_edge_devices_contract.py.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from registry.model import AUTHORITY_AUTO_PROVISIONING, DeviceStatus
from tenant.model import RegistrationLimits
from tests.support.attempts import basic
from tests.support.certificates import Issued
from tests.support.gateway import RunningGateway
from tests.support.site import Site, open_site
from tests.support.wire_clients import coap_device, connected_mqtt, http_device

PROTOCOLS = ("http", "mqtt-3.1.1", "mqtt-5", "coap")
each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)
AUTHORITY = (AUTHORITY_AUTO_PROVISIONING,)
CLOSED = "closed"  # a message that MQTT refuses ends the connection

Outcome = int | str
FORWARDED: Mapping[str, Outcome] = {"http": 202, "mqtt-3.1.1": 1, "mqtt-5": 1, "coap": "2.04"}
MALFORMED: Mapping[str, Outcome] = {"http": 400, "mqtt-3.1.1": CLOSED, "mqtt-5": CLOSED, "coap": "4.00"}
FORBIDDEN: Mapping[str, Outcome] = {"http": 403, "mqtt-3.1.1": CLOSED, "mqtt-5": CLOSED, "coap": "4.03"}
UNKNOWN: Mapping[str, Outcome] = {"http": 404, "mqtt-3.1.1": CLOSED, "mqtt-5": CLOSED, "coap": "4.04"}


@pytest.fixture
def site(gateway: RunningGateway) -> Site:
    return open_site(gateway)


async def speak_for(protocol: str, site: Site, gateway: Issued, device_id: str) -> Outcome:
    """An event of the device, sent by the gateway, and what came of it."""
    if protocol == "http":
        with http_device(site.gateway, gateway) as client:
            return client.put(f"/event//{quote(device_id)}", b"x").status
    if protocol == "coap":
        async with coap_device(site.gateway, gateway) as client:
            return (await client.ask(3, f"/event//{device_id}", b"x")).spelled
    with connected_mqtt(site.gateway, gateway, version=5 if protocol == "mqtt-5" else 4) as client:
        client.publish(f"event//{device_id}", qos=1)
        packet = client.read()
        if packet is None or packet.kind != 0x40:
            return CLOSED
        return int.from_bytes(packet.body[:2], "big")


@each_protocol
async def test_hono_registry_214_220_a_gateway_has_a_device_registered(site: Site, protocol: str) -> None:
    gateway = site.register("gw", authorities=AUTHORITY, member_of=("cellar",))
    for _ in range(2):
        assert await speak_for(protocol, site, gateway, "edge:1=a") == FORWARDED[protocol]
    edge = site.device("edge:1=a")
    assert (edge.enabled, edge.via, edge.via_groups) == (True, ("gw",), ("cellar",))
    assert edge.status.auto_provisioned and edge.status.notification_sent
    assert edge.ext == {} and site.credentials("edge:1=a") == []
    [event] = site.notifications()
    assert (event.device_id, event.properties["gateway_id"]) == ("edge:1=a", "gw")
    assert event.properties["hono_registration_status"] == "NEW"
    assert [message.device_id for message in site.wait_for_messages(2)] == ["edge:1=a"] * 2
    first = site.gateway.messages(site.tenant_id)[0]
    assert first.properties.get("hono_registration_status") == "NEW", "applications hear of the device first"


def test_hono_registry_214_whatever_proves_the_gateway(site: Site) -> None:
    user = site.register_password("gw", "hush", authorities=AUTHORITY)
    with http_device(site.gateway, None) as client:
        assert client.put("/event//edge", b"x", Authorization=basic((user, "hush"))).status == 202
    assert site.device("edge").via == ("gw",)


@each_protocol
async def test_hono_registry_214_a_gateway_may_itself_be_new(gateway: RunningGateway, protocol: str) -> None:
    site = open_site(gateway, may_auto_provision=True, provisions_gateways=True, device_id_template="gw-{{subject-cn}}")
    assert await speak_for(protocol, site, site.issue("CN=1,O=Site"), "edge") == FORWARDED[protocol]
    assert site.device("edge").via == ("gw-1",)
    assert [event.device_id for event in site.notifications()] == ["gw-1", "edge"]


@each_protocol
async def test_hono_registry_215_a_gateway_without_authority_registers_nobody(site: Site, protocol: str) -> None:
    gateway = site.register("gw", authorities=("another-authority",))
    assert await speak_for(protocol, site, gateway, "edge") == UNKNOWN[protocol]
    assert site.device_ids() == ["gw"] and site.notifications() == []


@each_protocol
async def test_hono_registry_216_an_id_that_breaks_the_pattern_registers_nobody(site: Site, protocol: str) -> None:
    gateway = site.register("gw", authorities=AUTHORITY)
    assert await speak_for(protocol, site, gateway, "++££") == MALFORMED[protocol]
    assert site.device_ids() == ["gw"]


@each_protocol
async def test_hono_registry_217_218_who_is_there_is_announced_once_it_is_due(site: Site, protocol: str) -> None:
    gateway = site.register("gw", authorities=AUTHORITY)
    made = DeviceStatus(created=datetime(2026, 1, 1, tzinfo=UTC), auto_provisioned=True, notification_sent=True)
    site.add_device("told", via=["gw"], status=made)
    assert await speak_for(protocol, site, gateway, "told") == FORWARDED[protocol]
    assert site.notifications() == []
    untold = DeviceStatus(created=datetime(2026, 1, 1, tzinfo=UTC), auto_provisioned=True)
    site.add_device("untold", via=["gw"], status=untold)
    assert await speak_for(protocol, site, gateway, "untold") == FORWARDED[protocol]
    assert site.device("untold").status.notification_sent
    assert {event.device_id for event in site.notifications()} == {"untold"}


@each_protocol
async def test_hono_registry_219_another_gateways_device_stays_its_own(site: Site, protocol: str) -> None:
    gateway, rival = (site.register(name, authorities=AUTHORITY) for name in ("gw", "rival"))
    assert await speak_for(protocol, site, gateway, "edge") == FORWARDED[protocol]
    assert await speak_for(protocol, site, rival, "edge") == FORBIDDEN[protocol]
    assert site.device("edge").via == ("gw",) and len(site.notifications()) == 1


@each_protocol
async def test_hono_registry_221_a_full_tenant_takes_no_device_behind_a_gateway(site: Site, protocol: str) -> None:
    site.edit(registration_limits=RegistrationLimits(max_devices=2))
    gateway = site.register("gw", authorities=AUTHORITY)
    assert await speak_for(protocol, site, gateway, "edge-1") == FORWARDED[protocol]
    assert await speak_for(protocol, site, gateway, "edge-2") == FORBIDDEN[protocol]
    assert site.device_ids() == ["edge-1", "gw"]


async def test_two_processes_register_one_device_and_lose_no_message(gateway: RunningGateway) -> None:
    site = open_site(gateway)
    issued = site.register("gw", authorities=AUTHORITY)
    other = gateway.another()

    def send(process: RunningGateway, number: int) -> list[int]:
        with http_device(process, issued) as client:
            return [client.put(f"/event//edge-{number}", b"x").status for _ in range(3)]

    sides = [(process, number) for number in range(5) for process in (gateway, other)]
    answers = await asyncio.gather(*(asyncio.to_thread(send, *side) for side in sides))
    assert answers == [[202] * 3] * len(sides)
    names = [f"edge-{number}" for number in range(5)]
    assert site.device_ids() == [*names, "gw"]
    assert {event.device_id for event in site.notifications()} == set(names)
    assert {event.properties["gateway_id"] for event in site.notifications()} == {"gw"}
    assert len(site.wait_for_messages(30)) == 30
