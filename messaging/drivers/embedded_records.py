"""Messages as the embedded log writes them: a group of bundles is four values of one row.

`tenants` is a JSON array of tenant ids. `heads` is a JSON array of what bundles have in common, each once: tenant id,
kind, QoS, ttl, content type, properties. `bundles` is a JSON array with one array per bundle: index of its head, device
id, creation time, and an array with the bytes of each payload (null: there is no payload, which differs from 0).
`payloads` is all payloads, end to end. A message is one payload: the n-th of a group has its n-th position.

Devices of one kind differ in their device id alone, so a row of a hundred messages names their head once, and a
message more of a bundle adds its length and its payload. An envelope's part is encoded when it is first submitted.

A group is bounded, because a reader must take in a whole one to show a single message of it; a bundle may
lie in several.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from messaging.message import Bundle, DeviceMessage, Envelope, KeptMessage, MessageKind

GROUP_MESSAGES_MAX: Final = 256
GROUP_BYTES_MAX: Final = (
    262_144  # of payloads and bulky envelopes; a single larger message still makes a group of its own
)
ORDINARY_BYTES: Final = 1_024  # an envelope's text within this counts for nothing where bytes are counted

_KINDS = {kind.value: kind for kind in MessageKind}


class Form(NamedTuple):
    """An envelope in the form it is written in; what `Envelope.form` holds."""

    head: str  # JSON; one string however many devices share it, so that it is compared by identity
    device: str  # JSON of the device id
    bulk: int  # bytes of it beyond what is ordinary, which count like a payload's


class Group(NamedTuple):
    """Some bundles in the form they are written in."""

    size: int  # how many messages
    newest_ms: int
    tenant_ids: list[str]
    tenants: str
    heads: str
    bundles: str
    payloads: bytes


def _plain(value: object) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a property of type {type(value).__name__} has no JSON form")


_encode: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False, default=_plain).encode


def form_of(envelope: Envelope) -> Form:
    """Raises TypeError, ValueError or RecursionError when the properties have no JSON form."""
    envelope.tenant_id.encode()  # it becomes a key, for which SQLite takes valid text only
    head = _encode(
        (
            envelope.tenant_id,
            envelope.kind.value,
            envelope.qos,
            envelope.ttl_ms,
            envelope.content_type,
            envelope.properties,
        )
    )
    device = _encode(envelope.device_id)
    return Form(sys.intern(head), device, max(0, len(head) + len(device) - ORDINARY_BYTES))


def encode_group(bundles: Sequence[Bundle]) -> Group:
    """Every envelope has its form."""
    prefixes: dict[str, str] = {}  # by head
    tenant_ids: list[str] = []
    texts: list[str] = []
    payloads: list[bytes | None] = []
    newest_ms = said_ms = bundles[0].creation_time_ms
    said = str(said_ms)  # made once for all that were created in one millisecond
    for bundle in bundles:
        envelope = bundle.envelope
        head, device, _ = envelope.form
        prefix = prefixes.get(head)
        if prefix is None:
            prefix = prefixes[head] = f"[{len(prefixes)},"
            if envelope.tenant_id not in tenant_ids:
                tenant_ids.append(envelope.tenant_id)
        created_ms = bundle.creation_time_ms
        if created_ms != said_ms:
            said_ms, said = created_ms, str(created_ms)
            if created_ms > newest_ms:
                newest_ms = created_ms
        own = bundle.payloads
        payloads += own
        lengths = f"[{len(own[0])}]" if len(own) == 1 and own[0] is not None else _lengths(own)
        texts.append(f"{prefix}{device},{said},{lengths}]")
    return Group(
        size=len(payloads),
        newest_ms=newest_ms,
        tenant_ids=tenant_ids,
        tenants=_encode(tenant_ids),
        heads=f"[{','.join(prefixes)}]",
        bundles=f"[{','.join(texts)}]",
        payloads=b"".join(filter(None, payloads)),
    )


def _lengths(payloads: list[bytes | None]) -> str:
    """A JSON array. Python's own spelling of a list of integers is one, and costs a quarter."""
    if None in payloads:
        return _encode([None if payload is None else len(payload) for payload in payloads])
    return str([*map(len, payloads)])  # type: ignore[arg-type]  # none is None


def decode_group(last_position: int, size: int, heads: str, bundles: str, payloads: bytes) -> Iterator[KeptMessage]:
    """The messages of one row, in the order of their positions.

    Raises ValueError, TypeError, LookupError or RecursionError where the row is not as it was written.
    """
    known = json.loads(heads)
    parts = json.loads(bundles)
    sizes = [payload_bytes for _, _, _, lengths in parts for payload_bytes in lengths]
    if len(sizes) != size or sum(filter(None, sizes)) != len(payloads):
        raise ValueError("what is said of the payloads does not fit them")
    position = last_position - size
    start = 0
    for index, device_id, creation_time_ms, lengths in parts:
        tenant_id, kind, qos, ttl_ms, content_type, properties = known[index]
        for payload_bytes in lengths:
            position += 1
            payload = None
            if payload_bytes is not None:
                payload = payloads[start : start + payload_bytes]
                start += payload_bytes
            message = DeviceMessage(
                tenant_id=tenant_id,
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


def bytes_of(bundle: Bundle) -> int:
    """What a bundle counts where bytes are counted. Its envelope has its form."""
    bulk: int = bundle.envelope.form.bulk
    return bundle.payload_bytes + bulk


def split_into_groups(bundles: Sequence[Bundle], messages: int, size: int) -> Iterator[Sequence[Bundle]]:
    """Cut into runs that may each be one group, in order; a bundle that does not fit is cut, too.

    `messages` and `size`: how many there are in all bundles, and the sum of their `bytes_of`.
    """
    if messages <= GROUP_MESSAGES_MAX and size <= GROUP_BYTES_MAX:
        yield bundles
        return
    group: list[Bundle] = []
    count = size = 0
    for bundle in bundles:
        payloads, more = bundle.payloads, bytes_of(bundle)
        if count + len(payloads) <= GROUP_MESSAGES_MAX and size + more <= GROUP_BYTES_MAX:
            group.append(bundle)
            count += len(payloads)
            size += more
            continue
        bulk, start = more - bundle.payload_bytes, 0
        for end, payload in enumerate(payloads):
            more = len(payload or b"") + (bulk if end == start else 0)
            if count and (count >= GROUP_MESSAGES_MAX or size + more > GROUP_BYTES_MAX):
                if end > start:
                    group.append(_piece(bundle, start, end))
                    more += bulk
                yield group
                group, count, size, start = [], 0, 0, end
            count += 1
            size += more
        group.append(_piece(bundle, start, len(payloads)))
    yield group


def _piece(bundle: Bundle, start: int, end: int) -> Bundle:
    return Bundle(bundle.envelope, bundle.creation_time_ms, bundle.payloads[start:end])
