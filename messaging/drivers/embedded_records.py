"""Messages as the embedded log writes them: a group of messages is three values of one row.

`tenants` is a JSON array of tenant ids. `messages` is a JSON array with one array per message: index of
its tenant, device id, kind, QoS, creation time, ttl, content type, bytes of payload (null: there is no
payload, which differs from 0), properties. `payloads` is all payloads, end to end.

A group is bounded, because a reader must take in a whole one to show a single message of it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from messaging.message import DeviceMessage, KeptMessage, MessageKind

GROUP_MESSAGES_MAX = 256
GROUP_PAYLOAD_BYTES_MAX = 262_144  # a single larger message still makes a group of its own

_KINDS = {kind.value: kind for kind in MessageKind}


class Group(NamedTuple):
    """Some messages in the form they are written in."""

    size: int  # how many messages
    newest_ms: int
    tenant_ids: list[str]
    tenants: str
    messages: str
    payloads: bytes


def _plain(value: object) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a property of type {type(value).__name__} has no JSON form")


# One call encodes a whole group: calling json.dumps per message costs three times as much.
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False, default=_plain).encode


def encode_group(messages: Sequence[DeviceMessage]) -> Group:
    """Raises TypeError, ValueError or RecursionError when some message's properties have no JSON form."""
    indexes: dict[str, int] = {}
    heads: list[tuple[Any, ...]] = []
    payloads: list[bytes] = []
    for message in messages:
        payload = message.payload
        if payload is None:
            payload_bytes = None
        else:
            payload_bytes = len(payload)
            payloads.append(payload)
        heads.append(
            (
                indexes.setdefault(message.tenant_id, len(indexes)),
                message.device_id,
                message.kind._value_,  # `.value` is a Python-level property: 10 times slower
                message.qos,
                message.creation_time_ms,
                message.ttl_ms,
                message.content_type,
                payload_bytes,
                message.properties,
            )
        )
    tenant_ids = list(indexes)
    "".join(tenant_ids).encode()  # they become keys, for which SQLite takes valid text only
    return Group(
        size=len(heads),
        newest_ms=max([head[4] for head in heads]),
        tenant_ids=tenant_ids,
        tenants=_encode(tenant_ids),
        messages=_encode(heads),
        payloads=b"".join(payloads),
    )


def decode_group(last_position: int, tenants: str, messages: str, payloads: bytes) -> Iterator[KeptMessage]:
    """The messages of one row, in the order of their positions."""
    tenant_ids = json.loads(tenants)
    heads = json.loads(messages)
    position = last_position - len(heads)
    start = 0
    for index, device_id, kind, qos, creation_time_ms, ttl_ms, content_type, payload_bytes, properties in heads:
        position += 1
        payload = None
        if payload_bytes is not None:
            payload = payloads[start : start + payload_bytes]
            start += payload_bytes
        message = DeviceMessage(
            tenant_id=tenant_ids[index],
            device_id=device_id,
            kind=_KINDS[kind],
            qos=qos,
            payload=payload,
            content_type=content_type,
            creation_time_ms=creation_time_ms,
            ttl_ms=ttl_ms,
            properties=properties,
        )
        yield KeptMessage(position=position, message=message)


def split_into_groups(messages: Sequence[DeviceMessage], payload_bytes: int) -> Iterator[Sequence[DeviceMessage]]:
    """Cut into runs that may each be one group, in order. `payload_bytes` is what all of them carry together."""
    if len(messages) <= GROUP_MESSAGES_MAX and payload_bytes <= GROUP_PAYLOAD_BYTES_MAX:
        yield messages
        return
    start = size = 0
    for end, message in enumerate(messages):
        more = len(message.payload or b"")
        if end > start and (end - start >= GROUP_MESSAGES_MAX or size + more > GROUP_PAYLOAD_BYTES_MAX):
            yield messages[start:end]
            start, size = end, 0
        size += more
    yield messages[start:]
