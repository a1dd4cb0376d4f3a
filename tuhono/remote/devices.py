"""`registry.ports.DeviceRepository` over the management API. Limits are the gateway's own to judge.

A gateway never shows what is secret. A change of credentials is worked out on what it shows, and what was on record
stays there by the ids of its secrets.
"""

import json
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from dialects.hono.shapes.credentials import credential_view
from dialects.hono.shapes.device import device_view
from kernel.errors import NotFound
from kernel.ids import DeviceId, TenantId
from registry.credentials import HASHED_PASSWORD, PSK
from registry.model import Credential, CredentialSet, Device
from tenant.audit import Deed
from tenant.search import PAGE_SIZE_MAX, Page, Query
from tuhono.remote.api import RemoteApi, search_of
from tuhono.remote.wire import credential_in, device_in

_ON_RECORD = "on record at the gateway"  # stands for a password or key that is kept there
_HIDDEN = {PSK: "key", HASHED_PASSWORD: "pwd-hash"}


class RemoteDevices:
    """Devices and credentials on record at a gateway."""

    def __init__(self, api: RemoteApi) -> None:
        self._api = api

    def find(self, tenant_id: TenantId, device_id: DeviceId) -> Device | None:
        try:
            answer = self._api.send("GET", _path("devices", tenant_id, device_id))
        except NotFound:
            return None
        return device_in(answer.json, tenant_id, device_id, version=answer.etag)

    def find_all(self, tenant_id: TenantId, *, after: DeviceId | None, limit: int) -> Sequence[Device]:
        asked = {"limit": str(limit)} | ({} if after is None else {"after": after})
        answer = self._api.send("GET", f"/tuhono/v1/export/{quote(tenant_id, safe='')}?{urlencode(asked)}")
        documents = [json.loads(line) for line in answer.content.splitlines()]
        return [device_in(document["device"], tenant_id, document["id"]) for document in documents]

    def search(self, tenant_id: TenantId, query: Query) -> Page[Device]:
        try:
            answer = self._api.send("GET", f"{_path('devices', tenant_id)}?{urlencode(search_of(query))}")
        except NotFound:
            return Page(total=0, found=())
        found = [device_in(entry, tenant_id, entry["id"]) for entry in answer.json["result"]]
        return Page(total=answer.json["total"], found=found)

    def find_ids(self, tenant_id: TenantId, query: Query, *, after: DeviceId | None, limit: int) -> Sequence[DeviceId]:
        found: list[DeviceId] = []
        for page in range(2**31):
            asked = Query(filters=query.filters, is_gateway=query.is_gateway, page_size=PAGE_SIZE_MAX, page_offset=page)
            devices = self.search(tenant_id, asked).found
            found += [device.device_id for device in devices if after is None or device.device_id > after]
            if len(devices) < PAGE_SIZE_MAX or len(found) >= limit:
                break
        return found[:limit]

    def groups(
        self, tenant_id: TenantId, *, after: str | None, limit: int, members_max: int
    ) -> Sequence[tuple[str, Sequence[DeviceId]]]:
        asked = {"limit": str(limit)} | ({} if after is None else {"after": after})
        answer = self._api.send("GET", f"/tuhono/v1/groups/{quote(tenant_id, safe='')}?{urlencode(asked)}")
        return [(group["id"], group["members"][:members_max]) for group in answer.json["groups"]]

    def create(self, device: Device, deed: Deed, *, devices_max: int, credentials: Sequence[Credential] = ()) -> None:
        document = {
            "id": device.device_id,
            "device": _document(device),
            "credentials": [_credential(credential, ()) for credential in credentials],
        }
        self._api.send("POST", f"/tuhono/v1/registrations/{quote(device.tenant_id, safe='')}", document=document)

    def replace(self, device: Device, deed: Deed, *, expected_version: str | None) -> None:
        path = _path("devices", device.tenant_id, device.device_id)
        self._api.send("PUT", path, document=_document(device), if_match=expected_version)

    def set_enabled(
        self, tenant_id: TenantId, device_ids: Sequence[DeviceId], deed: Deed, *, enabled: bool
    ) -> Sequence[DeviceId]:
        return self._bulk(tenant_id, "enable" if enabled else "disable", device_ids)

    def delete(self, tenant_id: TenantId, device_id: DeviceId, deed: Deed, *, expected_version: str | None) -> None:
        self._api.send("DELETE", _path("devices", tenant_id, device_id), if_match=expected_version)

    def delete_many(self, tenant_id: TenantId, device_ids: Sequence[DeviceId], deed: Deed) -> Sequence[DeviceId]:
        return self._bulk(tenant_id, "delete", device_ids)

    def delete_all(self, tenant_id: TenantId, deed: Deed) -> int:
        """How many there were shortly before."""
        total = self.search(tenant_id, Query(page_size=1)).total
        self._api.send("DELETE", _path("devices", tenant_id))
        return total

    def find_credentials(self, tenant_id: TenantId, device_id: DeviceId) -> CredentialSet | None:
        try:
            answer = self._api.send("GET", _path("credentials", tenant_id, device_id))
        except NotFound:
            return None
        held = tuple(credential_in(document, tenant_id, device_id) for document in answer.json)
        return CredentialSet(version=answer.etag, credentials=held)

    def replace_credentials(
        self,
        tenant_id: TenantId,
        device_id: DeviceId,
        change: Callable[[CredentialSet], Sequence[Credential]],
        deed: Deed,
        *,
        expected_version: str | None,
    ) -> str:
        path = _path("credentials", tenant_id, device_id)
        answer = self._api.send("GET", path)
        held = tuple(_with_material(credential_in(document, tenant_id, device_id)) for document in answer.json)
        changed = change(CredentialSet(version=answer.etag, credentials=held))
        known = {(one.type, one.auth_id, secret.secret_id) for one in held for secret in one.secrets}
        documents = [_credential(credential, known) for credential in changed]
        return self._api.send("PUT", path, document=documents, if_match=expected_version or answer.etag).etag

    def _bulk(self, tenant_id: TenantId, action: str, device_ids: Sequence[DeviceId]) -> Sequence[DeviceId]:
        if not device_ids:
            return ()
        document = {"action": action, "ids": list(device_ids)}
        answer = self._api.send("POST", f"/tuhono/v1/bulk/{quote(tenant_id, safe='')}", document=document)
        unknown = set(answer.json.get("unknown", ()))
        return [device_id for device_id in device_ids if device_id not in unknown]


def _path(resource: str, *ids: str) -> str:
    return "/".join(("/v1", resource, *(quote(part, safe="") for part in ids)))


def _document(device: Device) -> Mapping[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(device_view(device))
    del document["status"]
    return document


def _credential(credential: Credential, known: Container[tuple[str, str, str]]) -> Mapping[str, Any]:
    """`known`: type, auth-id and id of the secrets on record; what is new gets its id there."""
    document: dict[str, Any] = msgspec.to_builtins(credential_view(credential))
    hidden = _HIDDEN.get(credential.type, "")
    for secret in document["secrets"]:
        if (credential.type, credential.auth_id, secret["id"]) not in known:
            del secret["id"]
        if secret.get(hidden) == _ON_RECORD:
            del secret[hidden]
    return document


def _with_material(credential: Credential) -> Credential:
    """Passwords and pre-shared keys are not shown; something must stand for them."""
    name = _HIDDEN.get(credential.type)
    if name is None:
        return credential
    secrets = tuple(replace(secret, material={name: _ON_RECORD}) for secret in credential.secrets)
    return replace(credential, secrets=secrets)
