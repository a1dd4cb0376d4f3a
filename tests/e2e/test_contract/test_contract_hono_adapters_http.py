"""Section 9.1 of the Hono adapter contract: uploads over HTTP, each row by its number.

Left out: rows about passwords, JWT and commands. A gateway proves itself with its certificate.
"""

import json
import ssl
from concurrent.futures import ThreadPoolExecutor

import pytest

from messaging.message import EMPTY_NOTIFICATION
from tenant.model import AdapterSettings
from tests.support.certificates import make_ca, make_self_signed
from tests.support.gateway import RunningGateway
from tests.support.site import Site, open_site, open_sites_of_one_ca
from tests.support.wire_clients import HttpAnswer, http_device

each_kind = pytest.mark.parametrize("kind", ["telemetry", "event"])


@pytest.fixture
def site(gateway: RunningGateway) -> Site:
    """A tenant that registers whom its CA vouches for."""
    return open_site(gateway, may_auto_provision=True)


def upload(site: Site, target: str, body: bytes | None = b"x", /, method: str = "POST", **headers: str) -> HttpAnswer:
    """One request of a device registered on the way."""
    with http_device(site.gateway, site.issue()) as device:
        return device.ask(method, target, body, **headers)


@each_kind
def test_hono_adapters_1_an_upload_over_tls_1_3_is_accepted_without_a_body(site: Site, kind: str) -> None:
    with http_device(site.gateway, site.issue(), version=ssl.TLSVersion.TLSv1_3) as device:
        answer = device.post(f"/{kind}", b"hello", content_type="text/plain")
    assert (answer.status, answer.headers["content-length"], answer.body) == (202, "0", b"")


@each_kind
def test_hono_adapters_3_sixty_uploads_in_a_row_all_arrive_with_what_goes_with_them(site: Site, kind: str) -> None:
    with http_device(site.gateway, site.issue()) as device:
        for number in range(60):
            assert device.post(f"/{kind}?n={number}", b"%d" % number, content_type="text/plain").status == 202
    messages = site.wait_for_messages(60)
    [device_id] = site.device_ids()
    for number, message in enumerate(messages):
        assert message.payload == b"%d" % number
        assert (message.device_id, message.kind.value, message.content_type) == (device_id, kind, "text/plain")
        assert message.creation_time_ms > 1_600_000_000_000
        assert message.properties == {"orig_adapter": "hono-http", "orig_address": f"/{kind}?n={number}"}


def test_hono_adapters_4_telemetry_without_a_qos_level_is_qos_0(site: Site) -> None:
    assert upload(site, "/telemetry").status == 202
    assert site.wait_for_message().qos == 0


def test_hono_adapters_5_an_event_without_a_qos_level_is_qos_1(site: Site) -> None:
    assert upload(site, "/event").status == 202
    assert site.wait_for_message().qos == 1


def test_hono_adapters_6_telemetry_with_qos_level_1_is_qos_1(site: Site) -> None:
    assert upload(site, "/telemetry", qos_level="1").status == 202
    assert site.wait_for_message().qos == 1


@pytest.mark.parametrize(
    ("kind", "level"),
    [("event", "0"), *[(kind, level) for kind in ("telemetry", "event") for level in ("2", "abc")]],
)
def test_hono_adapters_7_8_a_qos_level_that_is_none_is_refused(site: Site, kind: str, level: str) -> None:
    assert upload(site, f"/{kind}", qos_level=level).status == 400
    assert site.messages() == []


@each_kind
def test_hono_adapters_9_10_an_answer_to_a_page_says_that_it_may_be_read(site: Site, kind: str) -> None:
    answer = upload(site, f"/{kind}", origin="https://shop.example")
    assert answer.status == 202
    assert answer.headers["access-control-allow-origin"] in {"*", "https://shop.example"}
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert {"hono-command", "hono-cmd-req-id"} <= exposed


@each_kind
def test_hono_adapters_11_an_empty_body_with_a_content_type_has_no_value(site: Site, kind: str) -> None:
    assert upload(site, f"/{kind}", b"", content_type="application/custom").status == 202
    message = site.wait_for_message()
    assert (message.content_type, message.payload) == ("application/custom", None)


@each_kind
def test_hono_adapters_12_an_empty_body_without_content_type_is_refused(site: Site, kind: str) -> None:
    assert upload(site, f"/{kind}", b"").status == 400
    assert site.messages() == []


@each_kind
def test_hono_adapters_13_a_body_without_content_type_is_taken_for_bytes(site: Site, kind: str) -> None:
    assert upload(site, f"/{kind}", b"hello").status == 202
    message = site.wait_for_message()
    assert (message.content_type, message.payload) == ("application/octet-stream", b"hello")


@each_kind
def test_hono_adapters_14_a_body_of_the_empty_notification_is_refused(site: Site, kind: str) -> None:
    assert upload(site, f"/{kind}", b"x", content_type=EMPTY_NOTIFICATION).status == 400
    assert site.messages() == []


@each_kind
@pytest.mark.parametrize("named", [True, False], ids=["tenant-in-path", "empty-tenant"])
def test_hono_adapters_15_16_a_gateway_uploads_for_its_device(site: Site, kind: str, named: bool) -> None:
    gateway = site.register("gw")
    site.add_device("valve", via=["gw"])
    with http_device(site.gateway, gateway) as client:
        assert client.put(f"/{kind}/{site.tenant_id if named else ''}/valve", b"open").status == 202
    message = site.wait_for_message()
    assert (message.device_id, message.payload, message.kind.value) == ("valve", b"open", kind)


@each_kind
def test_hono_adapters_17_a_device_id_is_decoded(site: Site, kind: str) -> None:
    gateway = site.register("gw")
    site.add_device("valve:4711", via=["gw"])
    with http_device(site.gateway, gateway) as client:
        assert client.put(f"/{kind}/{site.tenant_id}/valve%3A4711").status == 202
    assert site.wait_for_message().device_id == "valve:4711"


@each_kind
def test_hono_adapters_18_two_gateways_take_turns_for_one_device(site: Site, kind: str) -> None:
    gateways = [site.register(name) for name in ("gw-1", "gw-2")]
    site.add_device("valve", via=["gw-1", "gw-2"])
    with http_device(site.gateway, gateways[0]) as one, http_device(site.gateway, gateways[1]) as other:
        for client in (one, other, one, other):
            assert client.put(f"/{kind}//valve").status == 202
    assert {message.device_id for message in site.wait_for_messages(4)} == {"valve"}


@each_kind
@pytest.mark.parametrize("key", ["rsa2048", "ec256"])
def test_hono_adapters_19_a_self_signed_certificate_that_is_its_own_anchor_uploads(
    gateway: RunningGateway, kind: str, key: str
) -> None:
    site = open_site(gateway)
    device = make_self_signed(f"CN=self-{kind}-{key},O=Site", key=key)
    site.trust(device)
    site.register(f"self-{kind}-{key}", issued=device)
    with http_device(gateway, device) as client:
        assert client.post(f"/{kind}").status == 202
    assert site.wait_for_message().device_id == f"self-{kind}-{key}"


@each_kind
def test_hono_adapters_20_an_unknown_device_of_a_provisioning_anchor_uploads_again_and_again(
    site: Site, kind: str
) -> None:
    stranger = site.issue()
    for _ in range(2):
        with http_device(site.gateway, stranger) as client:
            assert [client.post(f"/{kind}").status for _ in range(2)] == [202, 202]
    site.wait_for_messages(4)
    assert site.only_device().status.auto_provisioned
    assert len(site.notifications()) == 1


@each_kind
def test_hono_adapters_21_without_auto_provisioning_an_unknown_device_is_refused(
    gateway: RunningGateway, kind: str
) -> None:
    site = open_site(gateway, may_auto_provision=False)
    assert upload(site, f"/{kind}").status == 401
    assert site.device_ids() == [] and site.messages() == []


@each_kind
def test_hono_adapters_22_an_impostor_of_the_ca_is_refused(site: Site, kind: str) -> None:
    impostor = make_ca(site.ca.certificate.subject).issue("CN=dev-1,O=Site")
    with http_device(site.gateway, impostor) as client:
        assert client.post(f"/{kind}").status == 401
    assert site.wait_for_refusal_of(impostor).code == "signature-invalid"
    assert site.device_ids() == []


@each_kind
def test_hono_adapters_25_who_shows_nothing_is_told_how_to(gateway: RunningGateway, kind: str) -> None:
    with http_device(gateway, None) as client:
        answer = client.post(f"/{kind}")
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="Hono"'


@each_kind
def test_hono_adapters_28_disabled_credentials_are_refused(site: Site, kind: str) -> None:
    device = site.register("dev", credential={"enabled": False})
    with http_device(site.gateway, device) as client:
        assert client.post(f"/{kind}").status == 401
    assert site.device_ids() == ["dev"], "provisioned over a disabled credential"


@each_kind
def test_hono_adapters_30_a_disabled_adapter_is_told(site: Site, kind: str) -> None:
    site.disallow("hono-http")
    answer = upload(site, f"/{kind}")
    assert (answer.status, json.loads(answer.body)) == (403, {"error": "adapter is disabled"})
    assert site.device_ids() == []


@each_kind
def test_hono_adapters_32_a_disabled_tenant_is_told(site: Site, kind: str) -> None:
    site.edit(enabled=False)
    answer = upload(site, f"/{kind}")
    assert (answer.status, json.loads(answer.body)) == (403, {"error": "tenant is disabled or not registered"})
    assert site.device_ids() == []


@each_kind
def test_hono_adapters_33_a_list_without_this_adapter_disables_it(site: Site, kind: str) -> None:
    site.edit(adapters=(AdapterSettings(type="hono-mqtt", enabled=True),))
    assert upload(site, f"/{kind}").status == 403


@each_kind
def test_hono_adapters_34_a_disabled_device_is_not_found(site: Site, kind: str) -> None:
    device = site.register("dev", enabled=False)
    for method, target in (("POST", f"/{kind}"), ("PUT", f"/{kind}/{site.tenant_id}/dev"), ("PUT", f"/{kind}//dev")):
        with http_device(site.gateway, device) as client:
            answer = client.ask(method, target, b"x")
        assert (answer.status, json.loads(answer.body)) == (404, {"error": "device is disabled or not registered"})


@each_kind
@pytest.mark.parametrize("tenant", [True, False], ids=["tenant-in-path", "empty-tenant"])
def test_hono_adapters_35_a_disabled_gateway_is_forbidden(site: Site, kind: str, tenant: bool) -> None:
    gateway = site.register("gw", enabled=False)
    site.add_device("valve", via=["gw"])
    with http_device(site.gateway, gateway) as client:
        answer = client.put(f"/{kind}/{site.tenant_id if tenant else ''}/valve")
    assert (answer.status, json.loads(answer.body)) == (403, {"error": "gateway is disabled or not registered"})


@each_kind
@pytest.mark.parametrize("tenant", [True, False], ids=["36-tenant-in-path", "37-empty-tenant"])
def test_hono_adapters_36_37_a_gateway_that_is_not_the_devices_is_forbidden(
    site: Site, kind: str, tenant: bool
) -> None:
    gateway = site.register("gw")
    site.add_device("valve", via=["another"])
    with http_device(site.gateway, gateway) as client:
        answer = client.put(f"/{kind}/{site.tenant_id if tenant else ''}/valve")
    assert (answer.status, json.loads(answer.body)) == (403, {"error": "gateway is disabled or not registered"})
    assert site.messages() == []


@each_kind
def test_hono_adapters_38_another_tenant_in_the_path_is_forbidden(site: Site, kind: str) -> None:
    other = open_site(site.gateway)
    gateway = site.register("gw")
    other.add_device("valve", via=["gw"])
    with http_device(site.gateway, gateway) as client:
        answer = client.put(f"/{kind}/{other.tenant_id}/valve")
    assert (answer.status, json.loads(answer.body)) == (
        403,
        {"error": "not authorized to upload data for device from other tenant"},
    )
    assert other.messages() == site.messages() == []


@each_kind
def test_hono_adapters_39_an_unknown_device_behind_a_gateway_is_not_found(site: Site, kind: str) -> None:
    with http_device(site.gateway, site.register("gw")) as client:
        assert client.put(f"/{kind}//nowhere").status == 404
    assert site.device_ids() == ["gw"]


def test_hono_adapters_41_a_body_of_4096_bytes_is_too_large(site: Site) -> None:
    assert upload(site, "/telemetry", bytes(4096)).status == 413


@each_kind
@pytest.mark.parametrize(("length", "status"), [(2048, 202), (2049, 413)])
def test_hono_adapters_42_a_body_may_have_2048_bytes(site: Site, kind: str, length: int, status: int) -> None:
    assert upload(site, f"/{kind}", bytes(length)).status == status


@each_kind
@pytest.mark.parametrize("ttd", ["0", "-1", "abc"])
def test_hono_adapters_52_a_ttd_that_is_none_is_left_out(site: Site, kind: str, ttd: str) -> None:
    assert upload(site, f"/{kind}", hono_ttd=ttd).status == 202
    assert "ttd" not in site.wait_for_message().properties


@pytest.mark.parametrize("given", ["header", "query"])
def test_hono_adapters_57_an_event_lives_as_long_as_its_ttl(site: Site, given: str) -> None:
    if given == "header":
        assert upload(site, "/event", hono_ttl="30").status == 202
    else:
        assert upload(site, "/event?hono-ttl=30").status == 202
    assert site.wait_for_message().ttl_ms == 30_000


@pytest.mark.parametrize("given", ["header", "query"])
def test_hono_adapters_58_telemetry_has_no_ttl_of_its_own(site: Site, given: str) -> None:
    if given == "header":
        assert upload(site, "/telemetry", hono_ttl="30").status == 202
    else:
        assert upload(site, "/telemetry?hono-ttl=30").status == 202
    assert site.wait_for_message().ttl_ms is None


def test_hono_adapters_66_an_event_waits_for_who_comes_to_read_it(site: Site) -> None:
    assert upload(site, "/event", b"early").status == 202
    assert [message.payload for message in site.messages()] == [b"early"], "acknowledged and not kept"


def test_hono_adapters_67_sni_with_an_alias_tells_tenants_of_one_ca_apart(gateway: RunningGateway) -> None:
    plain, aliased = open_sites_of_one_ca(gateway, aliases=[None, "http-alias"], may_auto_provision=True)
    with http_device(gateway, aliased.issue(), server_name="http-alias.127.0.0.1.nip.io") as client:
        assert client.post("/telemetry").status == 202
    assert aliased.wait_for_message().qos == 0
    assert plain.device_ids() == [] and len(aliased.device_ids()) == 1


@pytest.mark.parametrize(
    ("target", "method", "allowed"),
    [
        pytest.param("/telemetry", "POST", ["authorization", "content-type", "QoS-Level", "hono-ttd"], id="68"),
        pytest.param("/telemetry/t/d", "PUT", ["authorization", "content-type", "QoS-Level", "hono-ttd"], id="69"),
        pytest.param("/event", "POST", ["authorization", "content-type", "hono-ttd"], id="70"),
        pytest.param("/event/t/d", "PUT", ["authorization", "content-type", "hono-ttd"], id="71"),
    ],
)
@pytest.mark.parametrize("authorization", [None, "Basic bm9ib2R5OnNlY3JldA=="], ids=["", "74-with-credentials"])
def test_hono_adapters_68_to_71_and_74_a_browser_may_ask_first(
    gateway: RunningGateway, target: str, method: str, allowed: list[str], authorization: str | None
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    with http_device(gateway, None) as client:
        answer = client.ask(
            "OPTIONS",
            target,
            None,
            origin="https://shop.example",
            access_control_request_method=method,
            **headers,
        )
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert method in answer.headers["access-control-allow-methods"]
    for name in allowed:
        assert name in answer.headers["access-control-allow-headers"]


@each_kind
def test_hono_adapters_79_an_error_is_a_json_object_that_says_so(site: Site, kind: str) -> None:
    for answer in (upload(site, f"/{kind}", b""), upload(site, f"/{kind}", bytes(3000))):
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert isinstance(json.loads(answer.body)["error"], str)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_hono_adapters_80_an_unknown_path_is_not_found(gateway: RunningGateway, method: str) -> None:
    with http_device(gateway, None) as client:
        answer = client.ask(method, "/nowhere", None)
    assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    expected = b"" if method == "HEAD" else b"<html><body><h1>Resource not found</h1></body></html>"
    assert answer.body == expected


def test_a_gateways_uploads_keep_their_order_while_some_wait_for_the_registry(site: Site) -> None:
    gateway = site.register("gw")
    for number in range(8):
        site.add_device(f"valve-{number}", via=["gw"])
    with http_device(site.gateway, gateway) as client:
        for number in range(8):
            assert client.put(f"/event//valve-{number}", b"%d" % number).status == 202
            assert client.post("/event", b"%d own" % number).status == 202
    expected = [body for number in range(8) for body in (b"%d" % number, b"%d own" % number)]
    assert [message.payload for message in site.wait_for_messages(16)] == expected


def test_forty_strangers_at_once_are_all_admitted(site: Site) -> None:
    strangers = [site.issue() for _ in range(40)]

    def come(index: int) -> int:
        with http_device(site.gateway, strangers[index]) as client:
            return client.post("/event", b"%d" % index).status

    with ThreadPoolExecutor(20) as crowd:
        assert list(crowd.map(come, range(40))) == [202] * 40
    assert len(site.device_ids()) == 40
    site.wait_for_messages(40)
