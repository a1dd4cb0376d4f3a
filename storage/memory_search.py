"""Searches tenants and devices in memory (hono-registry 1.5): the plainest reading of what a search means.

Every thing is rendered as a document (storage/memory_documents.py) and looked into, one after the other. Shares nothing
with the searches in SQL, so that each can be held against the other.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from kernel.ids import DeviceId
from registry.model import Device
from storage.memory_documents import Document, device_document, tenant_document
from tenant.errors import PointerUnsearchable
from tenant.model import Tenant
from tenant.search import WHOLE_MAX, WHOLE_MIN, Page, Pointer, Query, Value

Found = TypeVar("Found")
_Match = tuple[Document, Found]

# How far a document's members are known: what a mapping names, the members of free objects, texts in arrays, objects in
# arrays, and single values.
FREE, TEXTS, VALUE = "free", "texts", "value"

_DEVICE = {
    "id": VALUE,
    "enabled": VALUE,
    "via": TEXTS,
    "viaGroups": TEXTS,
    "memberOf": TEXTS,
    "authorities": TEXTS,
    "defaults": FREE,
    "ext": FREE,
    "downstream-message-mapper": VALUE,
    "upstream-message-mapper": VALUE,
    "command-endpoint": {"uri": VALUE, "headers": FREE, "payload-properties": FREE},
    "status": dict.fromkeys(
        ("created", "updated", "last-user", "auto-provisioned", "auto-provisioning-notification-sent"), VALUE
    ),
}
_PERIOD = {"mode": VALUE, "no-of-days": VALUE}
_TENANT = {
    "id": VALUE,
    "enabled": VALUE,
    "alias": VALUE,
    "trust-anchor-group": VALUE,
    "adapters": [{"type": VALUE, "enabled": VALUE, "device-authentication-required": VALUE, "ext": FREE}],
    "defaults": FREE,
    "ext": FREE,
    "minimum-message-size": VALUE,
    "registration-limits": {"max-devices": VALUE, "max-credentials-per-device": VALUE},
    "resource-limits": {
        "max-connections": VALUE,
        "max-ttl": VALUE,
        "max-ttl-telemetry-qos0": VALUE,
        "max-ttl-telemetry-qos1": VALUE,
        "max-ttl-command-response": VALUE,
        "data-volume": {"effective-since": VALUE, "max-bytes": VALUE, "period": _PERIOD},
        "connection-duration": {"effective-since": VALUE, "max-minutes": VALUE, "period": _PERIOD},
        "ext": FREE,
    },
    "tracing": {"sampling-mode": VALUE, "sampling-mode-per-auth-id": FREE},
    "trusted-ca": [
        {
            "id": VALUE,
            "subject-dn": VALUE,
            "not-before": VALUE,
            "not-after": VALUE,
            "auth-id-template": VALUE,
            "auto-provisioning-enabled": VALUE,
            "auto-provision-as-gateway": VALUE,
            "auto-provisioning-device-id-template": VALUE,
            "ocsp-revocation-enabled": VALUE,
            "ocsp-responder-uri": VALUE,
            "ocsp-nonce-enabled": VALUE,
            "provisioning-rate-max": VALUE,
            "device-template": {"defaults": FREE, "ext": FREE, "via": TEXTS, "viaGroups": TEXTS, "memberOf": TEXTS},
        }
    ],
}


def find_devices(devices: Sequence[Device], query: Query) -> Page[Device]:
    """Of the devices of one tenant. Raises PointerUnsearchable."""
    return _page(_matching(_standing(devices, query), query, _DEVICE, device_document), query, _DEVICE)


def find_device_ids(
    devices: Sequence[Device], query: Query, *, after: DeviceId | None, limit: int
) -> Sequence[DeviceId]:
    """As `registry.ports.DeviceRepository.find_ids`, of the devices of one tenant. Raises PointerUnsearchable."""
    found = _matching(_standing(devices, query), query, _DEVICE, device_document)
    ids = sorted(device.device_id for _, device in found)
    return [device_id for device_id in ids if after is None or device_id > after][:limit]


def _standing(devices: Sequence[Device], query: Query) -> Sequence[Device]:
    """Only those that are gateways, or are not, where that is asked for."""
    listed = {gateway for device in devices for gateway in device.via}
    return [
        device for device in devices if query.is_gateway in (None, bool(device.member_of) or device.device_id in listed)
    ]


def find_tenants(tenants: Iterable[Tenant], query: Query) -> Page[Tenant]:
    """Raises PointerUnsearchable."""
    known = [tenant for tenant in tenants if query.tenants is None or tenant.tenant_id in query.tenants]
    return _page(_matching(known, query, _TENANT, tenant_document), query, _TENANT)


def find_groups(
    devices: Iterable[Device], *, after: str | None, limit: int, members_max: int
) -> Sequence[tuple[str, Sequence[DeviceId]]]:
    """As `registry.ports.DeviceRepository.groups`, of the devices of one tenant."""
    groups: dict[str, set[DeviceId]] = {}
    for device in devices:
        for name in device.member_of:
            groups.setdefault(name, set()).add(device.device_id)
    names = sorted(name for name in groups if after is None or name > after)
    return [(name, sorted(groups[name])[:members_max]) for name in names[:limit]]


def _matching(
    things: Sequence[Found], query: Query, known: Any, render: Callable[[Found], Document]
) -> Sequence[_Match[Found]]:
    found = [(render(thing), thing) for thing in things]
    for wanted in query.filters:
        _check(known, wanted.pointer)
        found = [
            (document, thing)
            for document, thing in found
            if any(_equals(value, wanted.value) for value in _values(document, known, wanted.pointer))
        ]
    return found


def _page(matching: Sequence[_Match[Found]], query: Query, known: Any) -> Page[Found]:
    found = sorted(matching, key=lambda match: str(match[0]["id"]))
    for sort in reversed(query.sorts):
        if _check(known, sort.pointer):
            raise PointerUnsearchable(f"{sort.pointer}: there may be several; name one by its index to sort by it")
        found.sort(key=lambda match: _rank(match[0], known, sort.pointer), reverse=sort.descending)
    first = query.page_size * query.page_offset
    return Page(total=len(found), found=[thing for _, thing in found[first : first + query.page_size]])


def _check(known: Any, pointer: Pointer) -> bool:
    """Whether it may lead to several members. Raises PointerUnsearchable where none can be searched."""
    several, numbers = False, 0
    for place, word in enumerate(pointer):
        if known is FREE:
            numbers = sum(_is_index(name) for name in pointer[place + 1 :])
            if numbers > 3:
                raise PointerUnsearchable(f"{pointer}: too many of its words are numbers")
            return several
        if isinstance(known, list):
            (known,) = known
            if _is_index(word):
                continue
            several = True
        if known is TEXTS and place == len(pointer) - 1 and _is_index(word):
            return several
        if not isinstance(known, Mapping) or word not in known:
            raise PointerUnsearchable(f"{pointer}: {word!r} cannot be searched")
        known = known[word]
    if known is FREE or isinstance(known, Mapping | list):
        raise PointerUnsearchable(f"{pointer}: is an object")
    return several


def _values(document: Any, known: Any, pointer: Pointer) -> list[Any]:
    if not pointer:
        return [document]
    word, rest = pointer[0], pointer[1:]
    if isinstance(known, list):
        if not _is_index(word):
            return [value for entry in document for value in _values(entry, known[0], pointer)]
        return _values(document[int(word)], known[0], rest) if int(word) < len(document) else []
    inner = known.get(word) if isinstance(known, Mapping) else None
    if isinstance(document, Mapping):
        return _values(document[word], inner, rest) if word in document else []
    if isinstance(document, list | tuple) and _is_index(word) and int(word) < len(document):
        return _values(document[int(word)], inner, rest)
    return []


def _is_index(word: str) -> bool:
    return word.isascii() and word.isdigit() and (word == "0" or not word.startswith("0")) and len(word) <= 9


def _equals(value: Any, wanted: Value) -> bool:
    if isinstance(value, list | tuple):
        return any(_is_equal(entry, wanted) for entry in value)
    return _is_equal(value, wanted)


def _is_equal(value: Any, wanted: Value) -> bool:
    if isinstance(value, str) and isinstance(wanted, str):
        return _matches(value, wanted)
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return _is_number(value) and _is_number(wanted) and bool(_number(value) == wanted)


def _matches(text: str, pattern: str) -> bool:
    """Greedy, going back to the last * only: its time is the product of both lengths at most."""
    at = place = 0
    star, resumed = -1, 0
    while at < len(text):
        if place < len(pattern) and pattern[place] == "*":
            star, resumed = place, at
            place += 1
        elif place < len(pattern) and pattern[place] in ("?", text[at]):
            at, place = at + 1, place + 1
        elif star >= 0:
            resumed += 1
            at, place = resumed, star + 1
        else:
            return False
    return not pattern[place:].strip("*")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: int | float) -> int | float:
    """As databases hold it: whole numbers of more than 64 bits are floating."""
    if isinstance(value, float) or WHOLE_MIN <= value <= WHOLE_MAX:
        return value
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _rank(document: Document, known: Any, pointer: Pointer) -> tuple[int, Any]:
    """Missing, numbers, texts, false, true, objects and arrays."""
    value = next(iter(_values(document, known, pointer)), None)
    if value is None:
        return 0, 0
    if isinstance(value, bool):
        return 3, value
    if _is_number(value):
        return 1, _number(value)
    if isinstance(value, str):
        return 2, value.replace("\0", "\ufdd0")  # no database can sort by U+0000
    return 4, 0
