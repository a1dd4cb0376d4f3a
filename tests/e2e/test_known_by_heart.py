"""Who comes again and again is let in by what two processes know by heart, and only while that is what is on record.

Every change is made in a third process, between a device's handshake and its CONNECT, and again before its handshake.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from kernel.ids import AnchorId, DeviceId, TenantId, generate_id
from pki.chains import authority_of
from tenant.model import AdapterSettings, TrustAnchor
from tests.support.certificates import Issued, make_ca
from tests.support.fleet import CoapDevice, HandshakeRefused, HttpDevice, MqttDevice, defects, open_mqtt, present
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.stores import DEED, credentials_of, put

BAD_CREDENTIALS, NOT_AUTHORIZED = 4, 5
OFTEN = 4  # often enough to be remembered: the certificate is met, its verdict is noted, the device is remembered

Pair = tuple[RunningGateway, RunningGateway]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with running_gateway(tmp_path_factory.mktemp("by-heart")) as left:
        right = left.another()
        yield left, right
        assert defects(left) == []
        assert defects(right) == []


@dataclass(frozen=True)
class Story:
    """A tenant of its own, and one device that everybody knows by heart."""

    pair: Pair
    tenant: TenantId
    ca: Issued
    issued: Issued

    @property
    def gateway(self) -> RunningGateway:
        return self.pair[0]

    def device_id(self) -> DeviceId:
        [device_id] = self.gateway.device_ids(self.tenant)
        return DeviceId(device_id)

    def edit(self, **members: object) -> None:
        tenant = self.gateway.tenants.get(self.tenant)
        self.gateway.store.tenants.replace(replace(tenant, **members), DEED, expected_version=None)  # type: ignore[arg-type]

    async def come_again_and_again(self) -> None:
        for gateway in self.pair:
            for _ in range(OFTEN):
                device = await open_mqtt(gateway, self.issued)
                device.abort()

    def disable_device(self) -> None:
        self.gateway.devices.set_enabled(self.tenant, self.device_id(), self.gateway.deed(), enabled=False)

    def disable_credential(self) -> None:
        store = self.gateway.store
        held = credentials_of(store, self.tenant, self.device_id())
        device = self.gateway.device(self.tenant, self.device_id())
        put(store, device, [replace(one, enabled=False) for one in held])

    def disable_tenant(self) -> None:
        self.gateway.tenants.set_enabled(self.tenant, self.gateway.deed(), enabled=False)

    def bar_adapters(self) -> None:
        self.edit(adapters=(AdapterSettings(type="hono-lora", enabled=True),))

    def remove_anchor(self) -> None:
        self.gateway.tenants.distrust(self.tenant, "anchor", self.gateway.deed())

    def replace_anchor(self) -> None:
        """Another CA of the same name under the same id."""
        impostor = authority_of(make_ca(f"CN=CA,O={self.tenant}").der)
        anchor = TrustAnchor(
            anchor_id=AnchorId("anchor"), tenant_id=self.tenant, authority=impostor, may_auto_provision=True
        )
        self.edit(trust_anchors=(anchor,))

    def make_tenant_anew(self) -> None:
        """Under the same id, with the same CA, that may no longer provision."""
        self.gateway.tenants.delete(self.tenant, self.gateway.deed())
        self.gateway.trust(self.tenant, self.ca, "anchor")

    def give_the_ca_away(self) -> None:
        self.remove_anchor()
        self.gateway.trust(f"{self.tenant}-other", self.ca, "anchor")


@pytest.fixture
async def story(pair: Pair) -> Story:
    tenant = TenantId(generate_id())
    ca = make_ca(f"CN=CA,O={tenant}")
    pair[0].trust(tenant, ca, "anchor", may_auto_provision=True)
    story = Story(pair, tenant, ca, ca.issue(f"CN=device,O={tenant}"))
    await story.come_again_and_again()
    return story


@pytest.mark.parametrize(
    ("change", "code", "status", "fails_handshake"),
    [
        (Story.disable_device, NOT_AUTHORIZED, 404, False),
        (Story.disable_credential, BAD_CREDENTIALS, 401, True),
        (Story.disable_tenant, NOT_AUTHORIZED, 403, False),
        (Story.bar_adapters, NOT_AUTHORIZED, 403, False),
        (Story.remove_anchor, BAD_CREDENTIALS, 401, True),
        (Story.replace_anchor, BAD_CREDENTIALS, 401, True),
        (Story.make_tenant_anew, BAD_CREDENTIALS, 401, True),
        (Story.give_the_ca_away, BAD_CREDENTIALS, 401, True),
    ],
)
async def test_what_is_known_by_heart_lets_nobody_in_who_may_no_longer_come(
    story: Story, change: Callable[[Story], None], code: int, status: int, fails_handshake: bool
) -> None:
    lines = [
        (await MqttDevice.open(gateway, story.issued), await HttpDevice.open(gateway, story.issued))
        for gateway in story.pair
    ]
    change(story)
    for gateway, (mqtt, http) in zip(story.pair, lines, strict=True):
        async with present(mqtt, http):
            assert await mqtt.connect() == code
            assert await http.post(b"x") == status
        again = await MqttDevice.open(gateway, story.issued)
        async with present(again):
            assert await again.connect() == code
        if fails_handshake:
            with pytest.raises(HandshakeRefused):
                await CoapDevice.open(gateway, story.issued)
        else:
            coap = await CoapDevice.open(gateway, story.issued)
            async with present(coap):
                assert not await coap.say(b"x")


async def test_a_device_made_anew_is_the_one_that_comes(story: Story) -> None:
    before = story.device_id()
    story.gateway.devices.delete(story.tenant, before, story.gateway.deed())
    for gateway in story.pair:
        again = await open_mqtt(gateway, story.issued)
        async with present(again):
            assert await again.say(b"anew")
    anew = story.device_id()
    assert anew != before
    assert {message.device_id for message in story.gateway.messages(story.tenant) if message.payload} == {anew}


async def test_two_tenants_of_one_ca_are_told_apart_by_name_however_often_their_devices_come(
    pair: Pair,
) -> None:
    ca = make_ca(f"CN=Shared {generate_id()}")
    names = [f"t{generate_id().replace('-', '')}"[:20] for _ in range(2)]
    for name in names:
        pair[0].make_tenant(name)
        tenant = pair[0].tenants.get(name)
        anchor = TrustAnchor(
            anchor_id=AnchorId(f"anchor-{name}"),
            tenant_id=tenant.tenant_id,
            authority=authority_of(ca.der),
            may_auto_provision=True,
        )
        shared = replace(tenant, trust_anchor_group=names[0], trust_anchors=(anchor,))
        pair[0].store.tenants.replace(shared, DEED, expected_version=None)
    issued = ca.issue("CN=both")
    for _ in range(OFTEN):
        for gateway in pair:
            for name in names:
                device = await MqttDevice.open(gateway, issued, server_name=f"{name}.example.com")
                async with present(device):
                    assert await device.connect() == 0
                    assert await device.say(name.encode())
            nobody = await MqttDevice.open(gateway, issued)
            async with present(nobody):
                assert await nobody.connect() == BAD_CREDENTIALS
    for name in names:
        assert {m.payload for m in pair[0].messages(name) if m.payload} == {name.encode()}
        assert len(pair[0].device_ids(name)) == 1
