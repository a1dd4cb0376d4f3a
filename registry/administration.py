"""What an operator may do with devices and their credentials. Blocking, as the repositories are.

Owns the order of the checks: ids by their patterns, then the tenant, then the thing itself. What has to be judged
together with what is on record (limits, versions, who holds an auth-id) is the repository's, inside its transaction.

A tenant need not exist for deleting: what it left behind can still be removed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from conf.registry import RegistrySettings
from kernel.ids import AUTH_ID_MAX_CHARS, DeviceId, IdRule, TenantId, generate_id
from registry.credentials import (
    CREDENTIALS_MAX,
    HASHED_PASSWORD,
    CredentialUpdate,
    SecretUpdate,
    checked,
    hashed,
    merged,
    shown,
)
from registry.device_rules import require_valid
from registry.errors import CredentialInvalid, CredentialLimitReached, DeviceIdInvalid, DeviceUnknown
from registry.model import Credential, CredentialSet, Device, DeviceStatus
from registry.passwords import HashRules
from registry.plan import devices_max_of
from registry.ports import DeviceRepository
from tenant.audit import Deed
from tenant.errors import TenantInvalid, TenantUnknown
from tenant.model import Tenant
from tenant.ports import TenantRepository
from tenant.search import Page, Query

PAGE_DEVICES = 500


class Premises:
    """What every operation on a device asks first: whether its ids can be ids, and whether its tenant is there."""

    def __init__(self, *, tenants: TenantRepository, tenant_ids: IdRule, device_ids: IdRule) -> None:
        self._tenants = tenants
        self._tenant_ids = tenant_ids
        self._device_ids = device_ids

    def tenant_id(self, tenant_id: str) -> TenantId:
        """Raises TenantInvalid."""
        if not self._tenant_ids.allows(tenant_id):
            raise TenantInvalid(f"tenant id {tenant_id[:60]!r} does not match the pattern {self._tenant_ids.pattern!r}")
        return TenantId(tenant_id)

    def device_id(self, device_id: str) -> DeviceId:
        """Raises DeviceIdInvalid."""
        if not self._device_ids.allows(device_id):
            raise DeviceIdInvalid(
                f"device id {device_id[:60]!r} does not match the pattern {self._device_ids.pattern!r}"
            )
        return DeviceId(device_id)

    def tenant(self, tenant_id: str) -> Tenant:
        """Raises TenantUnknown."""
        tenant = self._tenants.find(TenantId(tenant_id))
        if tenant is None:
            raise TenantUnknown(f"there is no tenant {tenant_id[:60]!r}")
        return tenant

    def tenant_of(self, tenant_id: str, device_id: str) -> Tenant:
        """The tenant, when both ids can be ids. Raises TenantInvalid, DeviceIdInvalid, TenantUnknown."""
        checked_tenant_id = self.tenant_id(tenant_id)
        self.device_id(device_id)
        return self.tenant(checked_tenant_id)


class DeviceAdministration:
    """Creates, reads, changes, finds and deletes devices."""

    def __init__(
        self,
        *,
        devices: DeviceRepository,
        tenants: TenantRepository,
        settings: RegistrySettings,
        tenant_ids: IdRule,
    ) -> None:
        self._devices = devices
        self._settings = settings
        self._premises = Premises(tenants=tenants, tenant_ids=tenant_ids, device_ids=_device_ids(settings))

    def create(self, device: Device, deed: Deed, *, credentials: Sequence[Credential] = ()) -> Device:
        """The device as it is on record, with what else came with it. Status and version are the registry's.

        Raises TenantInvalid, DeviceIdInvalid, DeviceInvalid, TenantUnknown, DeviceExists, DeviceLimitReached,
        CredentialTaken; then nothing was written.
        """
        tenant = self._premises.tenant_of(device.tenant_id, device.device_id)
        require_valid(device)
        made = replace(device, status=DeviceStatus(created=deed.moment), version=generate_id())
        most = devices_max_of(tenant, self._settings.devices_per_tenant_max)
        self._devices.create(made, deed, devices_max=most, credentials=credentials)
        return made

    def get(self, tenant_id: str, device_id: str) -> Device:
        """Raises TenantInvalid, DeviceIdInvalid, TenantUnknown, DeviceUnknown."""
        self._premises.tenant_of(tenant_id, device_id)
        device = self._devices.find(TenantId(tenant_id), DeviceId(device_id))
        if device is None:
            raise device_unknown(tenant_id, device_id)
        return device

    def replace(self, device: Device, deed: Deed, *, expected_version: str | None = None) -> str:
        """The new version. Of the status everything but when and by whom it was changed stays as it is.

        Raises TenantInvalid, DeviceIdInvalid, DeviceInvalid, TenantUnknown, DeviceUnknown, VersionMismatch.
        """
        self._premises.tenant_of(device.tenant_id, device.device_id)
        require_valid(device)
        status = replace(device.status, updated=deed.moment, last_user=deed.actor)
        changed = replace(device, status=status, version=generate_id())
        self._devices.replace(changed, deed, expected_version=expected_version)
        return changed.version

    def set_enabled(self, tenant_id: str, device_id: str, deed: Deed, *, enabled: bool) -> None:
        """Disabling ends the device's live connections. Raises TenantUnknown, DeviceUnknown."""
        self._premises.tenant_of(tenant_id, device_id)
        if not self._devices.set_enabled(TenantId(tenant_id), [DeviceId(device_id)], deed, enabled=enabled):
            raise device_unknown(tenant_id, device_id)

    def delete(self, tenant_id: str, device_id: str, deed: Deed, *, expected_version: str | None = None) -> None:
        """With its credentials, ending its live connections; also of a tenant that is gone. A certificate whose CA
        provisions registers again at its next connection: disable a device to keep it out.

        Raises TenantInvalid, DeviceIdInvalid, DeviceUnknown, VersionMismatch.
        """
        self._devices.delete(
            self._premises.tenant_id(tenant_id),
            self._premises.device_id(device_id),
            deed,
            expected_version=expected_version,
        )

    def delete_all(self, tenant_id: str, deed: Deed) -> int:
        """All devices of a tenant with their credentials; how many. There are none of a tenant nobody knows.

        Raises TenantInvalid.
        """
        return self._devices.delete_all(self._premises.tenant_id(tenant_id), deed)

    def search(self, tenant_id: str, query: Query) -> Page[Device]:
        """Raises TenantUnknown, PointerUnsearchable."""
        return self._devices.search(self._premises.tenant(tenant_id).tenant_id, query)

    def has(self, tenant_id: str, device_id: str) -> bool:
        """Whether the device is on record. Raises TenantInvalid, DeviceIdInvalid, TenantUnknown."""
        self._premises.tenant_of(tenant_id, device_id)
        return self._devices.find(TenantId(tenant_id), DeviceId(device_id)) is not None

    def page(self, tenant_id: str, *, after: str | None, limit: int) -> Sequence[Device]:
        """Devices in the order of ids, at most `limit`, those behind `after`. Raises TenantUnknown."""
        place = None if after is None else DeviceId(after)
        return self._devices.find_all(self._premises.tenant(tenant_id).tenant_id, after=place, limit=limit)

    def count(self, tenant_id: str) -> int:
        """How many devices the tenant has. Raises TenantUnknown."""
        return self.search(tenant_id, Query(page_size=1)).total

    def groups(
        self, tenant_id: str, *, after: str | None, limit: int, members_max: int
    ) -> Sequence[tuple[str, Sequence[DeviceId]]]:
        """Groups that gateways are members of, in the order of names, each with its first members.

        Raises TenantUnknown.
        """
        known = self._premises.tenant(tenant_id).tenant_id
        return self._devices.groups(known, after=after, limit=limit, members_max=members_max)

    def require_tenant(self, tenant_id: str) -> None:
        """Raises TenantInvalid, TenantUnknown."""
        self._premises.tenant(self._premises.tenant_id(tenant_id))

    def all(self, tenant_id: str) -> Iterator[Device]:
        """Every device of the tenant in the order of ids, read a page at a time."""
        after: DeviceId | None = None
        while page := self._devices.find_all(TenantId(tenant_id), after=after, limit=PAGE_DEVICES):
            yield from page
            after = page[-1].device_id


class CredentialAdministration:
    """Reads and changes what devices prove themselves with."""

    def __init__(
        self,
        *,
        devices: DeviceRepository,
        tenants: TenantRepository,
        settings: RegistrySettings,
        tenant_ids: IdRule,
        rules: HashRules | None = None,  # for passwords; None: those of the settings
    ) -> None:
        self._devices = devices
        self._premises = Premises(tenants=tenants, tenant_ids=tenant_ids, device_ids=_device_ids(settings))
        self._auth_ids = IdRule(settings.auth_id_pattern, max_chars=AUTH_ID_MAX_CHARS)
        self._rules = HashRules.of(settings) if rules is None else rules

    def get(self, tenant_id: str, device_id: str) -> CredentialSet:
        """Without anything secret. Raises TenantInvalid, DeviceIdInvalid, TenantUnknown, DeviceUnknown."""
        self._premises.tenant_of(tenant_id, device_id)
        found = self._on_record(tenant_id, device_id)
        return replace(found, credentials=tuple(shown(credential) for credential in found.credentials))

    def held_by(self, device: Device, *, with_secrets: bool) -> Sequence[Credential]:
        """What the device has on record; nothing where it was deleted meanwhile."""
        found = self._devices.find_credentials(device.tenant_id, device.device_id)
        held = () if found is None else found.credentials
        return held if with_secrets else [shown(credential) for credential in held]

    def replace(
        self,
        tenant_id: str,
        device_id: str,
        updates: Sequence[CredentialUpdate],
        deed: Deed,
        *,
        expected_version: str | None = None,
    ) -> str:
        """The new version. What the updates do not name is gone afterwards. Hashes every plain password: that takes
        tens of milliseconds each.

        Raises TenantInvalid, DeviceIdInvalid, TenantUnknown, CredentialLimitReached, CredentialInvalid, DeviceUnknown,
        VersionMismatch, CredentialTaken; then nothing was written.
        """
        tenant = self._premises.tenant_of(tenant_id, device_id)
        valid = self._checked(tenant, updates, deed)
        self._on_record(tenant_id, device_id)  # before the time for hashing is spent
        ready = hashed(valid, self._rules)
        holder = DeviceId(device_id)
        return self._devices.replace_credentials(
            tenant.tenant_id,
            holder,
            lambda found: merged(ready, found.credentials, tenant_id=tenant.tenant_id, device_id=holder),
            deed,
            expected_version=expected_version,
        )

    def set_password(self, tenant_id: str, device_id: str, auth_id: str, password: str, deed: Deed) -> str:
        """The new version. From now on this is the only password under the auth-id; all else stays as it is.

        Raises what `replace` does.
        """
        tenant = self._premises.tenant_of(tenant_id, device_id)
        wished = CredentialUpdate(type=HASHED_PASSWORD, auth_id=auth_id, secrets=(SecretUpdate(password=password),))
        valid = self._checked(tenant, [wished], deed)
        self._on_record(tenant_id, device_id)
        [made] = merged(hashed(valid, self._rules), (), tenant_id=tenant.tenant_id, device_id=DeviceId(device_id))

        def with_password(found: CredentialSet) -> Sequence[Credential]:
            name = (made.type, made.auth_id)
            old = next((one for one in found.credentials if (one.type, one.auth_id) == name), None)
            new = made if old is None else replace(old, secrets=made.secrets)
            whole = [*(one for one in found.credentials if one is not old), new]
            _require_few(tenant, len(whole))
            return whole

        return self._devices.replace_credentials(
            tenant.tenant_id, DeviceId(device_id), with_password, deed, expected_version=None
        )

    def made(
        self, tenant_id: str, device_id: str, updates: Sequence[CredentialUpdate], deed: Deed
    ) -> Sequence[Credential]:
        """What a device yet to be created would have on record, by the same rules; raises the same."""
        tenant = self._premises.tenant_of(tenant_id, device_id)
        ready = hashed(self._checked(tenant, updates, deed), self._rules)
        return merged(ready, (), tenant_id=tenant.tenant_id, device_id=DeviceId(device_id))

    def _checked(self, tenant: Tenant, updates: Sequence[CredentialUpdate], deed: Deed) -> Sequence[CredentialUpdate]:
        _require_few(tenant, len(updates))
        return checked(updates, tenant=tenant, auth_ids=self._auth_ids, rules=self._rules, moment=deed.moment)

    def _on_record(self, tenant_id: str, device_id: str) -> CredentialSet:
        found = self._devices.find_credentials(TenantId(tenant_id), DeviceId(device_id))
        if found is None:
            raise device_unknown(tenant_id, device_id)
        return found


def _require_few(tenant: Tenant, credentials: int) -> None:
    """Raises CredentialLimitReached, CredentialInvalid."""
    most = tenant.registration_limits.max_credentials_per_device if tenant.registration_limits else -1
    if -1 < most < credentials:
        raise CredentialLimitReached(f"{credentials} credentials; tenant {tenant.tenant_id!r} allows a device {most}")
    if credentials > CREDENTIALS_MAX:
        raise CredentialInvalid(f"credentials: {credentials} elements; a device has at most {CREDENTIALS_MAX}")


def device_unknown(tenant_id: str, device_id: str) -> DeviceUnknown:
    return DeviceUnknown(f"tenant {tenant_id!r} has no device {device_id!r}")


def _device_ids(settings: RegistrySettings) -> IdRule:
    return IdRule(settings.device_id_pattern)
