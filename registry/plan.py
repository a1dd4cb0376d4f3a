"""What auto-provisioning would create for a certificate, or why it would not (hono-registry 5.1, steps 2 and 3).

Looks and changes nothing, so that `tuhono explain` can ask the same question as a connecting device.
"""

from dataclasses import dataclass

from conf.registry import RegistrySettings
from kernel.ids import AuthId, DeviceId, IdRule
from pki.certificates import Certificate
from pki.templates import Template
from registry.errors import CredentialUnknown, DeviceExists, DeviceIdInvalid, DeviceLimitReached
from registry.ports import ConnectPath
from tenant.model import Tenant, TrustAnchor


@dataclass(slots=True, kw_only=True)
class ProvisioningPlan:
    """What would be created for a certificate. `device_id` None: a random one. Nobody changes it."""

    tenant: Tenant
    anchor: TrustAnchor
    certificate: Certificate
    auth_id: AuthId
    device_id: DeviceId | None
    devices_max: int  # of the tenant; -1 is no limit


class ProvisioningPlanner:
    """Turns a trusted certificate into a plan."""

    def __init__(self, *, store: ConnectPath, settings: RegistrySettings) -> None:
        self._store = store
        self._devices_max = settings.devices_per_tenant_max
        self._device_ids = IdRule(settings.device_id_pattern)

    def plan(self, tenant: Tenant, anchor: TrustAnchor, certificate: Certificate, auth_id: AuthId) -> ProvisioningPlan:
        """Raises CredentialUnknown where the anchor does not provision, TemplateUnfilled, DeviceIdInvalid."""
        if not anchor.may_auto_provision:
            raise CredentialUnknown(
                f"no device of tenant {tenant.tenant_id!r} has the auth-id {auth_id!r},"
                f" and trust anchor {anchor.anchor_id!r} does not allow auto-provisioning"
            )
        return ProvisioningPlan(
            tenant=tenant,
            anchor=anchor,
            certificate=certificate,
            auth_id=auth_id,
            device_id=self._device_id(anchor, certificate),
            devices_max=devices_max_of(tenant, self._devices_max),
        )

    async def foresee(self, plan: ProvisioningPlan) -> None:
        """Raise what the store would refuse as things stand: DeviceExists, DeviceLimitReached.

        For explaining only; the store decides anew, inside its transaction.
        """
        tenant_id = plan.tenant.tenant_id
        if plan.device_id is not None and await self._store.find_device(tenant_id, plan.device_id) is not None:
            raise DeviceExists(f"tenant {tenant_id!r} has a device {plan.device_id!r} already")
        if plan.devices_max > -1 and await self._store.count_devices(tenant_id) >= plan.devices_max:
            raise DeviceLimitReached(f"tenant {tenant_id!r} has {plan.devices_max} devices, the most it may have")

    def _device_id(self, anchor: TrustAnchor, certificate: Certificate) -> DeviceId | None:
        template = anchor.device_id_template
        if template is None:
            return None
        device_id = DeviceId(Template.parse(template).fill(certificate))
        if not self._device_ids.allows(device_id):
            raise DeviceIdInvalid(
                f"the template {template!r} makes the device id {device_id!r},"
                f" which does not match the pattern {self._device_ids.pattern!r}"
            )
        return device_id


def devices_max_of(tenant: Tenant, otherwise: int) -> int:
    """How many devices the tenant may have, -1 without limit (hono-registry 1.6).

    Its own limit goes before the setting `otherwise`. Of the tenant 0 means none at all; of the setting, no limit.
    """
    limits = tenant.registration_limits
    if limits is not None and limits.max_devices > -1:
        return limits.max_devices
    return otherwise if otherwise > 0 else -1
