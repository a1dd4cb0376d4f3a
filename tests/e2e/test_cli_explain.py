"""`tuhono explain`: the verdict of a real connection, for every reason there is, and nothing changed by asking."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from kernel.clock import SystemClock
from kernel.ids import TenantId
from storage.open import Store
from tenant.administration import AnchorChoices, TenantAdministration
from tenant.model import AdapterSettings, RegistrationLimits, Tenant
from tests.support import stores
from tests.support.certificates import Issued, make_ca, make_self_signed
from tests.support.command_line import Said, tuhono
from tests.support.stores import DEED, put
from tuhono.cli.context import settings_of
from tuhono.domain import open_databases

REFUSED_AFTER = {"in-handshake": False}
REFUSED_IN = {"in-handshake": True}


class Office:
    """An operator's hands on a registry that no gateway serves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        settings, clock = settings_of(None, self.data), SystemClock()
        self.store: Store = open_databases(settings, clock)
        self.tenants = TenantAdministration(tenants=self.store.tenants, settings=settings.tenant)
        self.ca = make_ca("CN=CA,O=Acme")
        self._files = 0

    def tenant(self, name: str = "acme", ca: Issued | None = None, group: str | None = None, **choices: Any) -> None:
        self.tenants.create(Tenant(tenant_id=TenantId(name), trust_anchor_group=group), DEED)
        if ca is not None:
            given = AnchorChoices(**{"may_auto_provision": True, **choices})
            self.tenants.trust(name, ca.der, "the-ca", given, DEED)

    def edit(self, name: str, **members: Any) -> None:
        tenant = self.store.tenants.find(TenantId(name))
        assert tenant is not None
        self.store.tenants.replace(replace(tenant, **members), DEED, expected_version=None)

    def put(self, device_id: str, auth_id: str, **members: Any) -> None:
        credential = stores.credential(device_id, auth_id=auth_id, tenant_id=TenantId("acme"))
        enabled = members.pop("credential_enabled", None)
        device = stores.device(device_id, tenant_id="acme", **members)
        put(self.store, device, [replace(credential, enabled=enabled)])

    def write(self, content: bytes) -> Path:
        self._files += 1
        path = self.folder / f"shown-{self._files}.pem"
        path.write_bytes(content)
        return path

    def explain(self, shown: Issued | Path, *words: object) -> Said:
        path = shown if isinstance(shown, Path) else self.write(shown.pem)
        return tuhono("explain", path, *words, data_dir=self.data)

    def report(self, shown: Issued | Path, *words: object) -> dict[str, Any]:
        said = self.explain(shown, *words, "--json")
        assert said.err == ""
        assert said.status == (1 if said.json["outcome"] == "refused" else 0)
        return said.json

    def expect_refusal(self, code: str, shown: Issued | Path, *words: object, **members: object) -> dict[str, Any]:
        report = self.report(shown, *words)
        assert (report["outcome"], report["code"]) == ("refused", code), report
        assert {name: report[name] for name in members} == members
        plain = self.explain(shown, *words)
        assert plain.status == 1
        assert plain.out.splitlines()[-1].startswith("refused ") and plain.out.endswith(f" ({code})\n")
        return report

    def contents(self) -> Mapping[str, list[Any]]:
        """Every row of every table."""
        with closing(sqlite3.connect(self.data / "registry.db")) as database:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {table: sorted(map(repr, database.execute(f'SELECT * FROM "{table}"'))) for table in tables}


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """With everything compared at the end: asking has changed nothing."""
    made = Office(tmp_path)
    try:
        yield made
        before = made.contents()
        made.explain(made.ca.issue("CN=last,O=Acme"))
        assert made.contents() == before
        assert sorted(path.name for path in made.data.iterdir() if path.name.startswith("log")) == []
    finally:
        made.store.close()


def test_a_stranger_of_a_provisioning_ca_would_be_registered(office: Office) -> None:
    office.tenant(ca=office.ca, device_id_template="sensor-{{subject-cn}}", auth_id_template="{{subject-cn}}")
    device = office.ca.issue("CN=d-1,O=Acme")
    before = office.contents()
    report = office.report(device)
    assert office.contents() == before
    assert (report["outcome"], report["tenant"]) == ("would-be-registered", "acme")
    assert (report["device"], report["auth-id"]) == ("sensor-d-1", "d-1")
    assert report["certificate"]["subject"] == "CN=d-1,O=Acme"
    assert report["certificate"]["issuer"] == "CN=CA,O=Acme"
    assert report["anchors"] == [
        {
            "tenant": "acme",
            "id": "the-ca",
            "subject-dn": "CN=CA,O=Acme",
            "auto-provisioning-enabled": True,
            "ends-path": True,
        }
    ]
    assert report["checks"] and all(check["passed"] for check in report["checks"])
    plain = office.explain(device)
    assert plain.status == 0
    assert plain.out.endswith("it would be registered and let in\n")
    assert "device   sensor-d-1\n" in plain.out


def test_without_a_template_the_device_id_is_a_random_one(office: Office) -> None:
    office.tenant(ca=office.ca)
    device = office.ca.issue("CN=d-1")
    assert office.report(device)["device"] is None
    assert "device   a random id\n" in office.explain(device).out


def test_a_device_on_record_is_named(office: Office) -> None:
    office.tenant(ca=office.ca, may_auto_provision=False)
    office.put("pump-7", "CN=d-1,O=Acme")
    report = office.report(office.ca.issue("CN=d-1,O=Acme"))
    assert (report["outcome"], report["device"], report["auth-id"]) == ("known", "pump-7", "CN=d-1,O=Acme")


@pytest.mark.parametrize("form", ["pem", "der", "text around", "two in one file"])
def test_certificates_are_read_as_people_have_them(office: Office, form: str) -> None:
    intermediate = office.ca.issue_ca("CN=Sub,O=Acme")
    office.tenant(ca=office.ca)
    device = intermediate.issue("CN=d-1,O=Acme")
    chain = ["--chain", office.write(intermediate.pem)]
    if form == "two in one file":
        shown, chain = office.write(device.pem + intermediate.pem), []
    elif form == "der":
        shown, chain = office.write(device.der), ["--chain", office.write(intermediate.der)]
    elif form == "text around":
        shown = office.write(b"subject=/CN=d-1\r\n" + device.pem.replace(b"\n", b"\r\n") + b"\nBag Attributes\n")
    else:
        shown = office.write(device.pem)
    assert office.report(shown, *chain)["outcome"] == "would-be-registered"
    office.expect_refusal("untrusted-issuer", device)  # without its intermediate


def test_nobody_trusts_the_issuer(office: Office) -> None:
    office.tenant(ca=office.ca)
    stranger = make_ca("CN=Nobody's CA").issue("CN=d-1")
    assert office.expect_refusal("untrusted-issuer", stranger, **REFUSED_AFTER)["anchors"] == []
    office.expect_refusal("untrusted-issuer", stranger, "--adapter", "coap", **REFUSED_IN)
    office.expect_refusal("untrusted-issuer", stranger, "--sni", "acme.example.com")
    office.expect_refusal("server-name-without-tenant", stranger, "--sni", "localhost")


def test_an_impostor_bears_the_issuers_name_and_not_its_key(office: Office) -> None:
    office.tenant(ca=office.ca)
    impostor = make_ca("CN=CA,O=Acme").issue("CN=d-1")
    report = office.expect_refusal("signature-invalid", impostor, **REFUSED_AFTER)
    assert report["tenant"] == "acme"
    assert [check["check"] for check in report["checks"] if not check["passed"]] == ["path", "signature"]
    assert [anchor["ends-path"] for anchor in report["anchors"]] == [False]


def test_validity_is_judged_at_the_time_given(office: Office) -> None:
    office.tenant(ca=office.ca)
    device = office.ca.issue(
        "CN=d-1", not_before=datetime(2030, 1, 1, tzinfo=UTC), not_after=datetime(2031, 1, 1, tzinfo=UTC)
    )
    office.expect_refusal("certificate-not-yet-valid", device, "--at", "2029-12-31T23:59:59Z", **REFUSED_IN)
    assert office.report(device, "--at", "2030-06-01")["outcome"] == "would-be-registered"
    assert office.report(device, "--at", "2030-01-01T00:00:00+00:00")["outcome"] == "would-be-registered"
    office.expect_refusal("certificate-expired", device, "--at", "2031-01-01T00:00:01Z", **REFUSED_IN)
    office.expect_refusal("no-valid-anchor", office.ca.issue("CN=x", not_after=datetime(2060, 1, 1, tzinfo=UTC)),
                          "--at", "2050-01-01")  # fmt: skip
    for wrong in ("soon", "0001-01-01", "2030-13-01", ""):
        said = office.explain(device, "--at", wrong, "--json")
        assert (said.status, said.fault["error"]) == (1, "time-invalid")


def test_sni_decides_between_tenants_that_share_a_ca(office: Office) -> None:
    for name in ("north", "south"):
        office.tenant(name, office.ca, group="both")
    office.edit("south", alias="s")
    device = office.ca.issue("CN=d-1")
    office.expect_refusal("tenant-ambiguous", device)
    for host, tenant in {"north.example.com": "north", "south.example.com": "south", "s.example.com": "south"}.items():
        assert office.report(device, "--sni", host)["tenant"] == tenant
    office.expect_refusal("untrusted-issuer", device, "--sni", "west.example.com")
    office.expect_refusal("server-name-without-tenant", device, "--sni", "north")


def test_a_disabled_tenant_device_credential_or_adapter(office: Office) -> None:
    office.tenant(ca=office.ca)
    office.put("off", "CN=off", enabled=False)
    office.put("worn", "CN=worn", credential_enabled=False)
    office.expect_refusal("device-disabled", office.ca.issue("CN=off"))
    office.expect_refusal("credential-disabled", office.ca.issue("CN=worn"))
    office.edit("acme", adapters=(AdapterSettings(type="hono-http", enabled=True),))
    device = office.ca.issue("CN=d-1")
    office.expect_refusal("adapter-disabled", device)
    assert office.report(device, "--adapter", "http")["outcome"] == "would-be-registered"
    office.edit("acme", enabled=False)
    office.expect_refusal("tenant-disabled", device, "--adapter", "http")


def test_a_ca_that_does_not_provision_knows_no_stranger(office: Office) -> None:
    office.tenant(ca=office.ca, may_auto_provision=False)
    report = office.expect_refusal("credential-unknown", office.ca.issue("CN=d-1"), **REFUSED_AFTER)
    assert report["anchors"][0]["auto-provisioning-enabled"] is False


def test_hono_registry_4_7_over_coap_who_is_nobody_fails_in_the_handshake_and_a_known_device_is_told(
    office: Office,
) -> None:
    office.tenant(ca=office.ca, may_auto_provision=False)
    office.put("off", "CN=off", enabled=False)
    office.put("worn", "CN=worn", credential_enabled=False)
    over_coap = ("--adapter", "coap")
    office.expect_refusal("credential-unknown", office.ca.issue("CN=d-1"), *over_coap, **REFUSED_IN)
    office.expect_refusal("credential-disabled", office.ca.issue("CN=worn"), *over_coap, **REFUSED_IN)
    office.expect_refusal("device-disabled", office.ca.issue("CN=off"), *over_coap, **REFUSED_AFTER)
    office.edit("acme", enabled=False)
    office.expect_refusal("tenant-disabled", office.ca.issue("CN=d-1"), *over_coap, **REFUSED_AFTER)


def test_templates_that_cannot_be_filled_or_make_no_id(office: Office) -> None:
    office.tenant("one", office.ca, device_id_template="{{subject-ou}}")
    office.expect_refusal("template-unfilled", office.ca.issue("CN=d-1"))
    office.expect_refusal("device-id-invalid", office.ca.issue("CN=d-1,OU=a b/c"))
    other = make_ca("CN=Other")
    office.tenant("two", other, auth_id_template="{{san-dns}}")
    office.expect_refusal("auth-id-unfilled", other.issue("CN=d-1"))


def test_a_full_tenant_and_an_id_that_is_taken(office: Office) -> None:
    limits = RegistrationLimits(max_devices=1)
    office.tenants.create(Tenant(tenant_id=TenantId("acme"), registration_limits=limits), DEED)
    choices = AnchorChoices(may_auto_provision=True, device_id_template="{{subject-o}}")
    office.tenants.trust("acme", office.ca.der, "c", choices, DEED)
    office.put("Acme", "CN=first,O=Acme")
    office.expect_refusal("device-exists", office.ca.issue("CN=second,O=Acme"))
    office.expect_refusal("device-limit-reached", office.ca.issue("CN=third,O=Else"))


def test_keys_and_purposes_that_prove_nothing(office: Office) -> None:
    office.tenant(ca=office.ca)
    office.expect_refusal("key-too-weak", office.ca.issue("CN=d-1", key="rsa1024"))
    office.expect_refusal("extended-key-usage-forbids", office.ca.issue("CN=d-1", eku=("serverAuth",)))
    no_ca = office.ca.issue("CN=no CA", ca=False)
    office.expect_refusal("issuer-not-ca", no_ca.issue("CN=d-1"), "--chain", office.write(no_ca.pem))


def test_a_self_signed_certificate_is_its_own_anchor_where_it_is_listed(office: Office) -> None:
    device = make_self_signed("CN=lonely")
    office.tenant(ca=device)
    assert office.report(device)["outcome"] == "would-be-registered"
    office.expect_refusal("signature-invalid", make_self_signed("CN=lonely"))


@pytest.mark.parametrize("content", [b"0\x82", b"0" * 100, make_ca().der[:200]], ids=["two bytes", "zeros", "cut"])
def test_what_only_looks_like_a_certificate_is_refused_as_in_a_handshake(office: Office, content: bytes) -> None:
    report = office.expect_refusal("certificate-unreadable", office.write(content), **REFUSED_IN)
    assert report["certificate"] == {}


def test_files_that_hold_no_certificate_and_words_nobody_knows(office: Office) -> None:
    office.tenant(ca=office.ca)
    device = office.ca.issue("CN=d-1")
    for words, code in {
        (office.folder / "nope.pem",): "io-error",
        (office.folder,): "io-error",
        (office.write(b""),): "file-unusable",
        (office.write(device.key_pem),): "file-unusable",
        (office.write(device.pem), "--chain", office.folder / "nope.pem"): "io-error",
        (office.write(device.pem), "--adapter", "amqp"): "adapter-unknown",
    }.items():
        said = tuhono("explain", *words, "--json", data_dir=office.data)
        assert (said.status, said.fault["error"]) == (1, code)


def test_hostile_names_stay_text(office: Office) -> None:
    office.tenant(ca=office.ca)
    device = office.ca.issue(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "{{subject-dn}} [bold] ../ $(id)")]))
    plain = office.explain(device)
    assert plain.status == 0
    assert "{{subject-dn}} [bold] ../ $(id)" in plain.out
    assert all(line.isprintable() for line in plain.out.splitlines())
