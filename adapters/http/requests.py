"""What the head of a request asks for, found out once: a pure function of its bytes.

A device on a kept-alive connection begins each request with the very bytes of the one before, and so do the
others of its fleet. A head that went through every check of wire/head.py and asked for something plain is
remembered for all connections of the adapter, by its bytes; the same bytes again mean the same. Whether *this*
sender may have it is never remembered here.
"""

from dataclasses import dataclass
from typing import Final

from adapters.http.routes import Plan, UploadPlan, plan_of
from adapters.http.wire.head import BLANK_LINE, RequestHead, RequestLimits, parse_head
from adapters.sessions.session import Session
from adapters.sessions.uplink import UploadHead
from kernel.errors import Refused

REMEMBERED_MAX: Final = 1024  # heads
REMEMBERED_HEAD_MAX_BYTES: Final = 1024
SIGHTINGS_MAX: Final = 4096  # heads seen once, told apart by their hash
UPLOADS_MAX: Final = 1024  # told apart; of heads no longer than those remembered

_NOT_PLAIN = (b"authorization", b"proxy-authorization", b"cookie", b"upgrade")


@dataclass(slots=True, kw_only=True, eq=False)  # not frozen: freezing nine fields costs 1.5 us
class Request:
    """A request but for its body. Nobody changes it, and it is known by identity."""

    plan: Plan | Refused | None
    body_bytes: int | None  # None: chunked
    keep_alive: bool
    is_http_1_0: bool
    omits_body: bool  # in its answer: HEAD
    expects_continue: bool
    origin: str | None  # the page that asks, where a browser does
    authorization: bytes | None = None  # of the header; whose request it is, where no certificate says so
    upload: UploadHead | None = None  # of a plain request; None: it is not plain
    head: bytes = b""  # a plain request's, to the end of the blank line
    whole_bytes: int = 0  # a plain request's, its body included

    def may_come_from(self, session: Session) -> bool:
        """Whether that sender needs no refusal of the path itself; what it may do is the uplink's to judge."""
        plan = self.plan
        return isinstance(plan, UploadPlan) and plan.refusal_for(session) is None


class Requests:
    """Reads heads for all connections of an adapter. Used on the event loop only."""

    def __init__(self, *, limits: RequestLimits, head_max_bytes: int = REMEMBERED_HEAD_MAX_BYTES) -> None:
        self._limits = limits
        self._head_max_bytes = head_max_bytes
        self._remembered: dict[bytes, Request] = {}  # plain ones, oldest first
        self._sightings: set[int] = set()
        self._plans: dict[tuple[object, ...], UploadPlan] = {}  # by what their upload says, oldest first

    def read(self, head: bytes) -> Request:
        """What a head, its blank line included, asks for. Raises Malformed."""
        is_short = len(head) <= self._head_max_bytes
        if is_short and (remembered := self._remembered.get(head)) is not None:
            return remembered
        parsed = parse_head(head, self._limits)
        request = _request_of(parsed)
        plan = request.plan
        if is_short and isinstance(plan, UploadPlan) and plan.refusal is None:
            request.plan = plan = self._one_of_all(plan)
            _tell_if_plain(request, plan, parsed, head, self._limits)
        return request

    def find(self, data: bytes) -> Request | None:
        """The remembered request that these bytes are, all of it and nothing else."""
        end = data.find(BLANK_LINE, 0, self._head_max_bytes)
        request = self._remembered.get(data[: end + 4]) if end > 0 else None
        return request if request is not None and request.whole_bytes == len(data) else None

    def remember(self, request: Request) -> None:
        """Remember a plain request from its second sighting on, in place of the oldest where there are too many.

        Not from the first: heads that carry a date or a trace of their own would drive out those that repeat. Only
        requests of whoever may upload belong here, so that a stranger drives out none.
        """
        head = request.head
        if request.upload is None or head in self._remembered:
            return
        sighting = hash(head)
        if sighting not in self._sightings:
            if len(self._sightings) >= SIGHTINGS_MAX:
                self._sightings.clear()
            self._sightings.add(sighting)
            return
        if len(self._remembered) >= REMEMBERED_MAX:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[head] = request

    def _one_of_all(self, plan: UploadPlan) -> UploadPlan:
        """The same for all heads that ask for the same, of whatever length the body is and whatever else they say.

        A session knows an upload again by its identity: another one each time costs 7 us each time. Strangers can
        drive them out, to no other effect.
        """
        upload = plan.head
        address = upload.kind, upload.tenant, upload.device, upload.orig_address
        says = *address, upload.qos, upload.content_type, upload.ttl_s
        known = self._plans.get(says)
        if known is not None:
            return known
        if len(self._plans) >= UPLOADS_MAX:
            del self._plans[next(iter(self._plans))]
        self._plans[says] = plan
        return plan


def _request_of(head: RequestHead) -> Request:
    plan: Plan | Refused | None
    try:
        plan = plan_of(head)
    except Refused as refusal:
        plan = refusal
    return Request(
        plan=plan,
        body_bytes=head.body_bytes,
        keep_alive=head.keep_alive,
        is_http_1_0=head.is_http_1_0,
        omits_body=head.method == "HEAD",
        expects_continue=head.expects_continue,
        origin=head.header(b"origin"),
        authorization=head.headers.get(b"authorization"),
    )


def _tell_if_plain(request: Request, plan: UploadPlan, parsed: RequestHead, head: bytes, limits: RequestLimits) -> None:
    """Complete a request that has nothing special about it, and no secret in it."""
    body_bytes = request.body_bytes
    if body_bytes is None or body_bytes > limits.body_max_bytes:
        return
    if not request.keep_alive or request.is_http_1_0 or request.expects_continue or request.origin is not None:
        return
    if any(name in parsed.headers for name in _NOT_PLAIN):
        return
    request.upload = plan.head
    request.head = head
    request.whole_bytes = len(head) + body_bytes
