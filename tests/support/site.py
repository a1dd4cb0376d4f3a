"""One test's tenant on a gateway that many tests share: names nobody else uses, and an operator's hands on them.

    site = open_site(gateway, may_auto_provision=True)
    pump = site.issue()                          # a stranger of the tenant's CA
    valve = site.register("valve-7")             # a device on record, with its credential
    ...
    assert site.wait_for_messages(1)[0].device_id == "valve-7"

Auth-ids are written down by hand here, from the subject asked for, so that a test compares two
understandings of a name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import count
from typing import Any

from kernel.clock import SystemClock
from kernel.ids import AuthId, DeviceId, TenantId
from messaging.message import PROVISIONING_NOTIFICATION, DeviceMessage
from registry.credentials import HASHED_PASSWORD
from registry.model import X509_CERT, Credential, Device, DeviceStatus, Secret
from registry.passwords import HashRules
from tenant.audit import AuditRow
from tenant.model import AdapterSettings, Tenant
from tests.support.certificates import Issued, Paths, make_ca
from tests.support.gateway import RunningGateway
from tests.support.stores import credentials_of, put
from tests.support.waiting import until_blocking

ADAPTERS = ("hono-mqtt", "hono-http", "hono-coap")

_numbers = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A tenant, and the CA it trusts."""

    gateway: RunningGateway
    tenant_id: str
    ca: Issued

    # The tenant

    def trust(self, ca: Issued | None = None, anchor_id: str | None = None, **choices: Any) -> None:
        """Trust the CA, by default the site's own. `choices` as in AnchorChoices."""
        self.gateway.trust(self.tenant_id, ca or self.ca, anchor_id, **choices)

    def edit(self, **members: Any) -> Tenant:
        """Replace members of the tenant."""
        tenants = self.gateway.store.tenants
        tenant = tenants.find(TenantId(self.tenant_id))
        assert tenant is not None
        tenants.replace(replace(tenant, **members), self.gateway.deed(), expected_version=None)
        return tenant

    def disallow(self, adapter: str) -> None:
        """Switch one adapter off and leave the others on."""
        self.edit(adapters=tuple(AdapterSettings(type=name, enabled=name != adapter) for name in ADAPTERS))

    # Its devices

    def issue(self, subject: str | None = None, **shape: Any) -> Issued:
        """A certificate of the site's CA, for a name of its own."""
        return self.ca.issue(subject or f"CN=dev-{next(_numbers)},O=Site", **shape)

    def files(self, **shape: Any) -> Paths:
        """The same, as files."""
        return self.gateway.files(self.issue(**shape))

    def register(
        self,
        device_id: str,
        *,
        issued: Issued | None = None,
        credential: Mapping[str, Any] | None = None,
        others: Sequence[Credential] = (),
        **members: Any,
    ) -> Issued:
        """Put a device with an X.509 credential on record and return its certificate.

        `members` are the device's, `credential` overrides the credential's, `others` are further ones.
        """
        subject = f"CN={device_id},O=Site"
        own = self.credential(device_id, auth_id=subject, **(credential or {}))
        status = members.pop("status", DeviceStatus(created=SystemClock().now()))
        device = Device(tenant_id=own.tenant_id, device_id=own.device_id, status=status, **members)
        put(self.gateway.store, device, [own, *others])
        return issued or self.ca.issue(subject)

    def credential(self, device_id: str, *, auth_id: str, type: str = X509_CERT, **members: Any) -> Credential:
        """A credential as `register` takes it."""
        return Credential(
            tenant_id=TenantId(self.tenant_id),
            device_id=DeviceId(device_id),
            type=type,
            auth_id=AuthId(auth_id),
            secrets=members.pop("secrets", (Secret(secret_id="only"),)),
            **members,
        )

    def register_password(
        self, device_id: str, password: str, *, credential: Mapping[str, Any] | None = None, **members: Any
    ) -> str:
        """Put a device with a password on record, in place of what was there of it; its user name."""
        given = {"secrets": (password_secret(password),), **(credential or {})}
        own = self.credential(device_id, auth_id=device_id, type=HASHED_PASSWORD, **given)
        status = members.pop("status", DeviceStatus(created=SystemClock().now()))
        device = Device(tenant_id=own.tenant_id, device_id=own.device_id, status=status, **_ids(members))
        put(self.gateway.store, device, [own])
        return f"{device_id}@{self.tenant_id}"

    def add_device(self, device_id: str, **members: Any) -> None:
        """A device without credentials, reached through gateways."""
        status = members.pop("status", DeviceStatus(created=SystemClock().now()))
        device = Device(
            tenant_id=TenantId(self.tenant_id), device_id=DeviceId(device_id), status=status, **_ids(members)
        )
        put(self.gateway.store, device)

    def device_ids(self) -> list[str]:
        return self.gateway.device_ids(self.tenant_id)

    def only_device(self) -> Device:
        [device_id] = self.device_ids()
        return self.device(device_id)

    def wait_for_device(self, *, within_s: float = 30.0) -> Device:
        """The only one, once it is registered."""
        until_blocking(self.device_ids, within_s=within_s)
        return self.only_device()

    def device(self, device_id: str) -> Device:
        return self.gateway.device(self.tenant_id, device_id)

    def credentials(self, device_id: str) -> Sequence[Credential]:
        return credentials_of(self.gateway.store, TenantId(self.tenant_id), DeviceId(device_id))

    # What applications and operators see

    def messages(self) -> list[DeviceMessage]:
        """What devices sent, oldest first; without the events of provisioning."""
        kept = self.gateway.messages(self.tenant_id)
        return [message for message in kept if message.content_type != PROVISIONING_NOTIFICATION]

    def notifications(self) -> list[DeviceMessage]:
        """The events of provisioning."""
        kept = self.gateway.messages(self.tenant_id)
        return [message for message in kept if message.content_type == PROVISIONING_NOTIFICATION]

    def wait_for_messages(self, number: int = 1, *, within_s: float = 30.0) -> list[DeviceMessage]:
        """Exactly that many; more is a failure."""
        until_blocking(lambda: len(self.messages()) >= number, within_s=within_s)
        messages = self.messages()
        assert len(messages) == number, messages
        return messages

    def wait_for_message(self) -> DeviceMessage:
        """The only one."""
        return self.wait_for_messages(1)[0]

    def refusals_of(self, issued: Issued) -> list[AuditRow]:
        """What was written down of refusing this certificate."""
        shown = sha256(issued.der).hexdigest()
        return [row for row in self.gateway.audit("device.refused") if row.facts.get("fingerprint") == shown]

    def wait_for_refusal_of(self, issued: Issued, *, within_s: float = 30.0) -> AuditRow:
        """The newest one."""
        until_blocking(lambda: self.refusals_of(issued), within_s=within_s)
        return self.refusals_of(issued)[-1]


def password_secret(password: str, secret_id: str = "only", **members: Any) -> Secret:
    """As quick to check as bcrypt can be."""
    return Secret(secret_id=secret_id, material=HashRules(bcrypt_cost_max=4).hash(password), **members)


def open_site(gateway: RunningGateway, *, ca: Issued | None = None, alias: str | None = None, **choices: Any) -> Site:
    """A new tenant that trusts a new CA, or the one given. `choices` as in AnchorChoices."""
    number = next(_numbers)
    site = Site(gateway=gateway, tenant_id=f"site-{number}", ca=ca or make_ca(f"CN=CA {number},O=Site"))
    gateway.make_tenant(site.tenant_id, alias=alias)
    site.trust(**choices)
    return site


def open_sites_of_one_ca(gateway: RunningGateway, *, aliases: Sequence[str | None], **choices: Any) -> list[Site]:
    """Tenants of one trust-anchor group that trust the same CA: only SNI tells which is meant."""
    number = next(_numbers)
    ca = make_ca(f"CN=Shared CA {number},O=Site")
    sites = []
    for place, alias in enumerate(aliases):
        site = Site(gateway=gateway, tenant_id=f"shared-{number}-{place}", ca=ca)
        gateway.make_tenant(site.tenant_id, alias=alias)
        site.edit(trust_anchor_group=f"group-{number}")
        site.trust(**choices)
        sites.append(site)
    return sites


def _ids(members: dict[str, Any]) -> dict[str, Any]:
    if "via" in members:
        members["via"] = tuple(DeviceId(gateway_id) for gateway_id in members["via"])
    return members
