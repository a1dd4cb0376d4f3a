"""What a device that registers itself is given by the CA that vouches for it."""

import base64
from collections.abc import Iterator

import pytest

from tests.support.certificates import make_ca
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.management import ManagementClient, operator_of
from tests.support.waiting import until_blocking
from tests.support.wire_clients import connected_mqtt

TEMPLATE = {
    "defaults": {"importance": "high", "ttl": 60},
    "ext": {"site": {"floor": 3}},
    "viaGroups": ["hall"],
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("templates")) as started:
        yield started


@pytest.fixture
def operator(gateway: RunningGateway) -> Iterator[ManagementClient]:
    with operator_of(gateway) as client:
        yield client


def test_a_stranger_gets_defaults_ext_and_groups_from_its_anchor_and_they_count_at_once(
    gateway: RunningGateway, operator: ManagementClient
) -> None:
    ca = make_ca("CN=Template CA,O=Plant")
    anchor = {"cert": base64.b64encode(ca.der).decode(), "auto-provisioning-enabled": True, "device-template": TEMPLATE}
    tenant = operator.new_tenant({"trusted-ca": [anchor]})
    with connected_mqtt(gateway, ca.issue("CN=pump-1,O=Plant")) as device:
        device.publish("event", b"on", qos=1)
        assert device.acknowledged() == 1
    [entry] = operator.get(f"/v1/devices/{tenant}").json["result"]
    assert entry["defaults"] == TEMPLATE["defaults"]
    assert entry["viaGroups"] == ["hall"]
    assert entry["ext"].pop("comment").startswith("Auto-provisioned at ")
    assert entry["ext"] == TEMPLATE["ext"]
    assert entry["status"]["auto-provisioned"] is True
    [message] = [kept for kept in gateway.messages(tenant) if kept.payload == b"on"]
    assert (message.properties["importance"], message.ttl_ms) == ("high", 60_000)


def test_a_gateway_becomes_a_member_of_groups_and_speaks_for_their_devices(
    gateway: RunningGateway, operator: ManagementClient
) -> None:
    ca = make_ca("CN=Gateway CA,O=Plant")
    anchor = {
        "cert": base64.b64encode(ca.der).decode(),
        "auto-provisioning-enabled": True,
        "device-template": {"memberOf": ["hall"]},
    }
    tenant = operator.new_tenant({"trusted-ca": [anchor]})
    assert operator.post(f"/v1/devices/{tenant}/lamp", {"viaGroups": ["hall"]}).status == 201
    with connected_mqtt(gateway, ca.issue("CN=gw-1,O=Plant")) as device:
        device.publish(f"event/{tenant}/lamp", b"lit", qos=1)
        assert device.acknowledged() == 1
    until_blocking(lambda: b"lit" in gateway.payloads("lamp"))
    found = operator.get(f"/v1/devices/{tenant}?isGateway=true").json["result"]
    assert [entry["memberOf"] for entry in found] == [["hall"]]
