"""What the operations of all three resources share: where a thing is, its version, and whose wish a change is.

The words are those of hono-registry 1.1.4: Location is a path, ETag an unquoted text, If-Match compared as it stands.
"""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import quote

import msgspec
from msgspec import Meta

from dialects.hono.errors import BodyInvalid
from kernel.clock import Clock
from kernel.exchange import Answer, Exchange, Parameter, Reply
from tenant.audit import Deed

ETAG = "ETag"
LOCATION = "Location"
IF_MATCH = Parameter(
    name="If-Match",
    type=str,
    says="The version the thing must still have, as ETag told it, with or without quotes; empty or absent: any.",
    is_header=True,
)


class Id(msgspec.Struct):
    """The id of what was created."""

    id: Annotated[str, Meta(examples=["0f8f7c5e-6a5b-4f6c-9f1d-0c3a3a1b2c4d"])]


CREATED = Answer(says="Created. Location tells its path, ETag its version.", type=Id, headers=(LOCATION, ETAG))
CHANGED = Answer(says="Changed. ETag tells its new version.", headers=(ETAG,))
DELETED = Answer(says="Deleted.")


def location(*segments: str) -> str:
    """A path below /v1, without scheme and host."""
    return "/v1/" + "/".join(quote(segment, safe="-._~:=@+,;!$'()*") for segment in segments)


def created(resource: str, *ids: str, version: str) -> Reply:
    """What a create answers: `created("devices", tenant_id, device_id, version=...)`."""
    headers = {LOCATION: location(resource, *ids), ETAG: version}
    return Reply(status=201, body={"id": ids[-1]}, headers=headers)


def changed(version: str) -> Reply:
    return Reply(status=204, headers=etag(version))


def etag(version: str) -> Mapping[str, str]:
    return {ETAG: version}


def if_match(exchange: Exchange) -> str | None:
    """The version the caller expects, None where it expects none."""
    given = exchange.headers.get("if-match", "").strip()
    if not given:
        return None
    return given[1:-1] if len(given) >= 2 and given[0] == given[-1] == '"' else given


def deed_of(exchange: Exchange, clock: Clock) -> Deed:
    """Whose wish this request is. Only for routes that need a caller."""
    assert exchange.caller is not None
    return Deed(actor=exchange.caller.name, moment=clock.now(), remote=exchange.remote)


def require_body(exchange: Exchange) -> bytes:
    """The body of a request that makes no sense without one. Raises BodyInvalid."""
    if not exchange.body:
        raise BodyInvalid("", "is missing")
    return exchange.body
