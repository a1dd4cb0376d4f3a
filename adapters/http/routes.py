"""From a request's head to what it asks for: an upload, a preflight, or nothing that is served here.

The endpoints H1-H5 and H8 of hono-adapters 1.1 with the inputs of 1.2. POST and PUT are taken alike on
`/{kind}` and on `/{kind}/{tenant}/{device}`. The path is decoded before it is split, so an encoded slash
separates segments.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_plus, unquote_to_bytes

from adapters.http.errors import DeviceMissing, PathMalformed, QosLevelUnsupported, TenantMissing
from adapters.http.wire.head import RequestHead
from adapters.sessions.session import Session
from adapters.sessions.uplink import UploadHead
from kernel.errors import Refused
from messaging.message import MessageKind

_KINDS = {"telemetry": MessageKind.TELEMETRY, "event": MessageKind.EVENT}
_UPLOAD_METHODS = frozenset({"POST", "PUT"})
_OWN_DATA = {f"/{name}": kind for name, kind in _KINDS.items()}
_DOTS = frozenset({".", ".."})
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ORIGIN_OF_ABSOLUTE = re.compile(r"https?://[^/?]*", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SECONDS = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPlan:
    """An upload, all but its payload; a request without a body has none (hono-adapters 1.5).

    `refusal` is what a known sender is told instead.
    """

    head: UploadHead
    refusal: Refused | None = None

    def refusal_for(self, session: Session) -> Refused | None:
        """What that sender is told instead; the path of one without an identity must name both."""
        if self.refusal is None and session.is_anonymous:
            if self.head.device is None:
                return DeviceMissing("an anonymous upload names no device")
            if self.head.tenant is None:
                return TenantMissing("an anonymous upload names no tenant")
        return self.refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """A browser asks whether a page of that origin may upload."""

    kind: MessageKind
    origin: str


Plan = UploadPlan | Preflight


def plan_of(head: RequestHead) -> Plan | None:
    """Return what a request asks for, None where nothing is served. Raises PathMalformed."""
    target = head.target
    if not target.startswith("/"):
        target = _ORIGIN_OF_ABSOLUTE.sub("", target, count=1)
    path, _, query = target.partition("?")
    kind = _OWN_DATA.get(path)
    tenant: str | None = None
    device: str | None = None
    if kind is None:
        if not path.startswith("/"):
            return None
        segments = _segments(path)
        kind = _KINDS.get(segments[0]) if len(segments) <= 3 else None
        if kind is None:
            return None
        if not _DOTS.isdisjoint(segments):  # a proxy in between may have taken it for a step up the path
            return None
        tenant, device = [segment or None for segment in (*segments, "", "")][1:3]
    if head.method == "OPTIONS":
        return _preflight(kind, head)
    if head.method not in _UPLOAD_METHODS:
        return None
    qos, refusal = _qos(kind, head.header(b"qos-level"))
    if tenant is not None and device is None:
        refusal = DeviceMissing("the path names a tenant and no device")
    upload = UploadHead(
        kind=kind,
        tenant=tenant,
        device=device,
        qos=qos,
        content_type=head.header(b"content-type") or None,
        orig_address=head.target,
        ttl_s=_ttl_s(head, query) if kind is MessageKind.EVENT else None,
    )
    return UploadPlan(head=upload, refusal=refusal)


def _segments(path: str) -> list[str]:
    """The decoded segments, empty ones at the end left out; at least one."""
    if _BROKEN_ESCAPE.search(path):
        raise PathMalformed("a percent sign is not followed by two hexadecimal digits")
    try:
        decoded = unquote_to_bytes(path).decode()
    except UnicodeDecodeError as fault:
        raise PathMalformed("the path is no UTF-8") from fault
    if _CONTROL.search(decoded):
        raise PathMalformed("the path holds control characters")
    return decoded.rstrip("/").removeprefix("/").split("/")


def _preflight(kind: MessageKind, head: RequestHead) -> Preflight | None:
    origin = head.header(b"origin")
    if origin is None or b"access-control-request-method" not in head.headers:
        return None
    return Preflight(kind=kind, origin=origin)


def _qos(kind: MessageKind, level: str | None) -> tuple[int, Refused | None]:
    if level is None:
        return (1 if kind is MessageKind.EVENT else 0), None
    if level == "1":
        return 1, None
    if level == "0" and kind is MessageKind.TELEMETRY:
        return 0, None
    return 0, QosLevelUnsupported(f"QoS-Level {level!r} is not supported for {kind.value}")


def _ttl_s(head: RequestHead, query: str) -> int | None:
    """From the header, else from the query; what is no number of seconds counts as absent."""
    given = head.header(b"hono-ttl")
    if given is None and "hono-ttl" in query:
        parameters = [parameter.partition("=") for parameter in query.split("&")]
        given = next((unquote_plus(value) for name, _, value in parameters if name == "hono-ttl"), None)
    return int(given) if given is not None and _SECONDS.fullmatch(given) else None
