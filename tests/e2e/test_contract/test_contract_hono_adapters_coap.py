"""Section 9.5 of the Hono adapter contract: uploads over CoAP, each row by its number.

Left out: rows about pre-shared keys and commands, gateways that provision, and the tenant's own
`timeoutToAck`. A gateway proves itself with its certificate.
"""

import time

import pytest
from OpenSSL import SSL

from messaging.message import EMPTY_NOTIFICATION
from tests.support.certificates import make_ca
from tests.support.coap import datagram
from tests.support.gateway import RunningGateway
from tests.support.site import Site, open_site, open_sites_of_one_ca
from tests.support.wire_clients import coap_device, plain_coap_device

GET, POST, PUT, DELETE = 1, 2, 3, 4
CON, NON, ACK = 0, 1, 2
CONTENT_FORMAT, BLOCK1, SERVER_TIME = 12, 27, 65_000
TEXT_PLAIN, OCTETS, JSON = 0, 42, 50

each_path = pytest.mark.parametrize(
    ("path", "confirmable"),
    [("/telemetry", False), ("/t", False), ("/event", True), ("/e", True)],
    ids=["telemetry", "t", "event", "e"],
)
each_kind = pytest.mark.parametrize(
    ("path", "confirmable"), [("/telemetry", False), ("/event", True)], ids=["telemetry", "event"]
)


@pytest.fixture
def site(gateway: RunningGateway) -> Site:
    """A tenant that registers whom its CA vouches for."""
    return open_site(gateway, may_auto_provision=True)


@pytest.fixture
def open_site_(open_gateway: RunningGateway) -> Site:
    """The same, where nobody needs to prove anything."""
    return open_site(open_gateway, may_auto_provision=True)


@each_kind
async def test_hono_adapters_179_an_anonymous_peer_puts_for_a_device(
    open_site_: Site, path: str, confirmable: bool
) -> None:
    open_site_.add_device("valve")
    paths = [path, path[:2]]  # long and short, in turn
    async with plain_coap_device(open_site_.gateway) as peer:
        for number in range(60):
            target = f"{paths[number % 2]}/{open_site_.tenant_id}/valve"
            answer = await peer.ask(PUT, target, b"%d" % number, confirmable=confirmable, content_format=TEXT_PLAIN)
            assert (answer.spelled, answer.type) == ("2.04", ACK if confirmable else NON)
    messages = open_site_.wait_for_messages(60)
    for number, message in enumerate(messages):
        assert (message.payload, message.device_id) == (b"%d" % number, "valve")
        assert (message.qos, message.content_type) == (int(confirmable), "text/plain")
        assert message.properties["orig_adapter"] == "hono-coap"
        assert message.properties["orig_address"] == f"{paths[number % 2]}/{open_site_.tenant_id}/valve"


@each_path
@pytest.mark.parametrize("key", ["ec256", "ec384"])
async def test_hono_adapters_180_a_device_with_a_certificate_posts(
    site: Site, path: str, confirmable: bool, key: str
) -> None:
    async with coap_device(site.gateway, site.issue(key=key)) as device:
        for payload in (b"first", b"second"):
            answer = await device.ask(POST, path, payload, confirmable=confirmable, content_format=JSON)
            assert (answer.spelled, answer.payload) == ("2.04", b"")
    first, second = site.wait_for_messages(2)
    assert (first.payload, second.payload, first.content_type) == (b"first", b"second", "application/json")
    assert first.kind.value == ("telemetry" if path[1] == "t" else "event")
    assert [event.device_id for event in site.notifications()] == [first.device_id] == site.device_ids()


@each_kind
@pytest.mark.parametrize("named", [True, False], ids=["tenant-in-path", "empty-tenant"])
async def test_hono_adapters_182_a_gateway_puts_for_its_device(
    site: Site, path: str, confirmable: bool, named: bool
) -> None:
    gateway = site.register("gw")
    site.add_device("valve", via=["gw"])
    async with coap_device(site.gateway, gateway) as client:
        target = f"{path}/{site.tenant_id if named else ''}/valve"
        assert (await client.ask(PUT, target, b"open", confirmable=confirmable)).spelled == "2.04"
    assert site.wait_for_message().device_id == "valve"


async def test_hono_adapters_184_an_impostor_of_the_ca_fails_in_the_handshake(site: Site) -> None:
    impostor = make_ca(site.ca.certificate.subject).issue("CN=dev-1,O=Site")
    with pytest.raises(SSL.Error, match="bad certificate"):
        async with coap_device(site.gateway, impostor):
            raise AssertionError("the handshake went through")
    assert site.wait_for_refusal_of(impostor).code == "signature-invalid"
    assert site.device_ids() == []


@each_kind
async def test_hono_adapters_187_a_disabled_adapter_is_told_after_the_handshake(
    site: Site, path: str, confirmable: bool
) -> None:
    site.disallow("hono-coap")
    async with coap_device(site.gateway, site.issue()) as device:
        answer = await device.ask(POST, path, b"x", confirmable=confirmable)
    assert (answer.spelled, answer.payload) == ("4.03", b"adapter is disabled")
    assert site.device_ids() == []


@each_kind
async def test_hono_adapters_188_a_disabled_device_is_told_after_the_handshake(
    site: Site, path: str, confirmable: bool
) -> None:
    async with coap_device(site.gateway, site.register("dev", enabled=False)) as device:
        answer = await device.ask(POST, path, b"x", confirmable=confirmable)
    assert (answer.spelled, answer.payload) == ("4.04", b"device is disabled or not registered")


@each_kind
@pytest.mark.parametrize("named", [True, False], ids=["tenant-in-path", "empty-tenant"])
async def test_hono_adapters_189_a_disabled_gateway_is_forbidden(
    site: Site, path: str, confirmable: bool, named: bool
) -> None:
    gateway = site.register("gw", enabled=False)
    site.add_device("valve", via=["gw"])
    async with coap_device(site.gateway, gateway) as client:
        target = f"{path}/{site.tenant_id if named else ''}/valve"
        answer = await client.ask(PUT, target, b"x", confirmable=confirmable)
    assert (answer.spelled, answer.payload) == ("4.03", b"gateway is disabled or not registered")


@each_kind
async def test_hono_registry_198_behind_a_disabled_gateway_the_device_is_told_first(
    site: Site, path: str, confirmable: bool
) -> None:
    """3.3: row 3 of its table comes before row 4."""
    gateway = site.register("gw", enabled=False)
    site.add_device("off", via=["gw"], enabled=False)
    async with coap_device(site.gateway, gateway) as client:
        for device_id in ("nowhere", "off"):
            answer = await client.ask(PUT, f"{path}//{device_id}", b"x", confirmable=confirmable)
            assert (answer.spelled, answer.payload) == ("4.04", b"device is disabled or not registered")


@each_kind
async def test_hono_adapters_190_a_gateway_that_is_not_the_devices_is_forbidden(
    site: Site, path: str, confirmable: bool
) -> None:
    gateway = site.register("gw")
    site.add_device("valve", via=["another"])
    async with coap_device(site.gateway, gateway) as client:
        answer = await client.ask(PUT, f"{path}//valve", b"x", confirmable=confirmable)
    assert (answer.spelled, answer.payload) == ("4.03", b"gateway is disabled or not registered")
    assert site.messages() == []


@each_kind
async def test_hono_adapters_191_an_empty_payload_with_a_format_is_empty_and_not_absent(
    site: Site, path: str, confirmable: bool
) -> None:
    async with coap_device(site.gateway, site.issue()) as device:
        answer = await device.ask(POST, path, confirmable=confirmable, content_format=OCTETS)
        assert answer.spelled == "2.04"
    message = site.wait_for_message()
    assert (message.content_type, message.payload) == ("application/octet-stream", b"")


@each_kind
async def test_hono_adapters_192_an_empty_payload_without_format_is_refused(
    site: Site, path: str, confirmable: bool
) -> None:
    async with coap_device(site.gateway, site.issue()) as device:
        assert (await device.ask(POST, path, confirmable=confirmable)).spelled == "4.00"
    assert site.messages() == []


@each_kind
async def test_hono_adapters_193_a_payload_without_format_is_taken_for_bytes(
    site: Site, path: str, confirmable: bool
) -> None:
    async with coap_device(site.gateway, site.issue()) as device:
        assert (await device.ask(POST, path, b"x", confirmable=confirmable)).spelled == "2.04"
    assert site.wait_for_message().content_type == "application/octet-stream"


@each_kind
async def test_hono_adapters_194_a_payload_that_is_said_to_be_empty_is_refused(
    site: Site, path: str, confirmable: bool
) -> None:
    async with coap_device(site.gateway, site.issue()) as device:
        answer = await device.ask(POST, path, b"x", confirmable=confirmable, query=("empty",))
        assert answer.spelled == "4.00"
    assert site.messages() == []


@each_kind
async def test_hono_adapters_195_nothing_said_to_be_empty_is_the_empty_notification(
    site: Site, path: str, confirmable: bool
) -> None:
    async with coap_device(site.gateway, site.issue()) as device:
        assert (await device.ask(POST, path, confirmable=confirmable, query=("empty",))).spelled == "2.04"
    assert site.wait_for_message().content_type == EMPTY_NOTIFICATION


@each_kind
@pytest.mark.parametrize(
    ("query", "options", "is_told"),
    [
        pytest.param((), ((SERVER_TIME, b""),), True, id="206-option"),
        pytest.param((), ((SERVER_TIME, b"\x01\x02"),), True, id="206-option-with-a-value"),
        pytest.param(("hono-time",), (), True, id="207-query"),
        pytest.param(("hono-time=true",), (), True, id="207-query-with-a-value"),
        pytest.param((), (), False, id="208-neither"),
    ],
)
async def test_hono_adapters_206_207_208_the_time_is_told_to_who_asks(
    site: Site,
    path: str,
    confirmable: bool,
    query: tuple[str, ...],
    options: tuple[tuple[int, bytes], ...],
    is_told: bool,
) -> None:
    before_ms = int(time.time() * 1000)
    async with coap_device(site.gateway, site.issue()) as device:
        answer = await device.ask(POST, path, b"x", confirmable=confirmable, query=query, options=options)
    told = answer.option(SERVER_TIME)
    assert answer.spelled == "2.04"
    if is_told:
        assert told is not None
        assert before_ms - 1000 <= int.from_bytes(told, "big") <= time.time() * 1000 + 1000
    else:
        assert told is None


async def test_hono_adapters_209_confirmable_telemetry_is_qos_1(site: Site) -> None:
    async with coap_device(site.gateway, site.issue()) as device:
        assert (await device.ask(POST, "/telemetry", b"x")).spelled == "2.04"
    assert site.wait_for_message().qos == 1


def block(number: int, *, more: bool, exponent: int = 5) -> tuple[int, bytes]:
    value = number << 4 | more << 3 | exponent
    return BLOCK1, value.to_bytes((value.bit_length() + 7) // 8, "big")


@pytest.mark.parametrize("path", ["/telemetry", "/event"])
async def test_hono_adapters_210_an_upload_of_4096_bytes_in_blocks_is_too_large(site: Site, path: str) -> None:
    codes = []
    async with coap_device(site.gateway, site.issue()) as device:
        for number in range(8):
            options = (block(number, more=number < 7),)
            codes.append((await device.ask(POST, path, bytes(512), options=options)).spelled)
            if codes[-1] != "2.31":
                break
    assert codes == ["2.31", "2.31", "2.31", "2.31", "4.13"]
    assert site.messages() == []


@pytest.mark.parametrize("path", ["/telemetry", "/event"])
async def test_hono_adapters_224_an_upload_of_2048_bytes_in_blocks_is_taken(site: Site, path: str) -> None:
    payload = bytes(range(256)) * 8
    codes = []
    async with coap_device(site.gateway, site.issue()) as device:
        for number in range(4):
            part = payload[number * 512 : number * 512 + 512]
            options = (block(number, more=number < 3),)
            codes.append((await device.ask(POST, path, part, options=options, content_format=JSON)).spelled)
    assert codes == ["2.31", "2.31", "2.31", "2.04"]
    message = site.wait_for_message()
    assert (message.payload, message.content_type) == (payload, "application/json")


@pytest.mark.parametrize("path", ["/", "/nowhere", "/.well-known/core", "/telemetri"])
@pytest.mark.parametrize("method", [GET, POST, PUT])
async def test_hono_adapters_211_an_unknown_path_is_not_found_and_nothing_said_of_what_is(
    site: Site, path: str, method: int
) -> None:
    async with coap_device(site.gateway, site.issue()) as device:
        answer = await device.ask(method, path)
    assert (answer.spelled, answer.payload) == ("4.04", b"")


async def test_hono_adapters_212_sni_with_an_alias_tells_tenants_of_one_ca_apart(gateway: RunningGateway) -> None:
    plain, aliased = open_sites_of_one_ca(gateway, aliases=[None, "coap-alias"], may_auto_provision=True)
    async with coap_device(gateway, aliased.issue(), server_name="coap-alias.127.0.0.1.nip.io") as device:
        assert (await device.ask(POST, "/event", b"x")).spelled == "2.04"
    assert aliased.wait_for_message().payload == b"x"
    assert plain.device_ids() == []


async def test_hono_adapters_213_an_event_waits_for_who_comes_to_read_it(site: Site) -> None:
    async with coap_device(site.gateway, site.issue()) as device:
        assert (await device.ask(POST, "/event", b"early")).spelled == "2.04"
    assert [message.payload for message in site.messages()] == [b"early"], "acknowledged and not kept"


async def test_hono_adapters_214_an_event_must_be_confirmable(site: Site) -> None:
    async with coap_device(site.gateway, site.issue()) as device:
        answer = await device.ask(POST, "/event", b"x", confirmable=False)
    assert (answer.spelled, answer.type) == ("4.00", NON)
    assert answer.payload == b"event endpoint supports confirmable request messages only"
    assert site.messages() == []


@each_kind
async def test_hono_adapters_216_an_anonymous_peer_has_no_data_of_its_own(
    open_site_: Site, path: str, confirmable: bool
) -> None:
    async with plain_coap_device(open_site_.gateway) as peer:
        answer = await peer.ask(POST, path, b"x", confirmable=confirmable)
    assert (answer.spelled, answer.payload) == ("4.01", b"DTLS session does not contain authenticated Device")


@each_kind
@pytest.mark.parametrize("rest", ["", "/{tenant}", "/{tenant}/", "//dev"])
async def test_hono_adapters_217_an_anonymous_peer_must_name_tenant_and_device(
    open_site_: Site, path: str, confirmable: bool, rest: str
) -> None:
    async with plain_coap_device(open_site_.gateway) as peer:
        target = path + rest.format(tenant=open_site_.tenant_id)
        assert (await peer.ask(PUT, target, b"x", confirmable=confirmable)).spelled == "4.04"


@each_kind
async def test_hono_adapters_218_another_tenant_in_the_path_is_forbidden(
    site: Site, path: str, confirmable: bool
) -> None:
    other = open_site(site.gateway)
    other.add_device("valve", via=["gw"])
    async with coap_device(site.gateway, site.register("gw")) as client:
        answer = await client.ask(PUT, f"{path}/{other.tenant_id}/valve", b"x", confirmable=confirmable)
    assert answer.spelled == "4.03"
    assert answer.payload == b"tenant ID in request URI must match provided credentials"
    assert other.messages() == []


@each_path
@pytest.mark.parametrize("method", [GET, DELETE])
async def test_hono_adapters_219_other_methods_are_not_allowed(
    site: Site, path: str, confirmable: bool, method: int
) -> None:
    async with coap_device(site.gateway, site.issue()) as device:
        assert (await device.ask(method, path, confirmable=confirmable)).spelled == "4.05"


async def test_hono_adapters_220_an_error_is_plain_text(site: Site) -> None:
    async with coap_device(site.gateway, site.issue()) as device:
        answer = await device.ask(POST, "/event")
    assert answer.payload
    assert int.from_bytes(answer.option(CONTENT_FORMAT) or b"", "big") == TEXT_PLAIN


@each_kind
async def test_hono_adapters_222_a_repeated_request_is_answered_again_and_forwarded_once(
    site: Site, path: str, confirmable: bool
) -> None:
    sent = datagram(type_=CON, code=POST, message_id=4711, token=b"tk", path=(path[1:],), payload=b"once")
    async with coap_device(site.gateway, site.issue()) as device:
        answers = [await device.exchange(sent) for _ in range(3)]
        assert [(answer.spelled, answer.token) for answer in answers] == [("2.04", b"tk")] * 3
        assert (await device.ask(POST, path, b"another")).spelled == "2.04"
    assert [message.payload for message in site.wait_for_messages(2)] == [b"once", b"another"]


async def test_a_secured_peer_is_known_where_anonymous_ones_are_welcome(open_site_: Site) -> None:
    async with coap_device(open_site_.gateway, open_site_.issue()) as device:
        assert (await device.ask(POST, "/event", b"x")).spelled == "2.04"
    assert open_site_.wait_for_message().device_id == open_site_.only_device().device_id


async def test_an_anonymous_peer_may_not_speak_for_a_device_that_is_not_on_record(open_site_: Site) -> None:
    async with plain_coap_device(open_site_.gateway) as peer:
        answer = await peer.ask(PUT, f"/event/{open_site_.tenant_id}/nowhere", b"x")
        assert (answer.spelled, answer.payload) == ("4.04", b"device is disabled or not registered")
        answer = await peer.ask(PUT, "/event/no-such-tenant/nowhere", b"x")
        assert (answer.spelled, answer.payload) == ("4.04", b"tenant is disabled or not registered")
    assert open_site_.device_ids() == []
