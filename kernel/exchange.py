"""One request and its answer, free of the protocol that carries them.

A dialect declares Routes; an edge finds the Route for a request, proves who asks, reads the body within the
bound, calls the handler and spells the Reply. Refusals are raised, never returned: each edge has one table from
a kind of error to its own status.

Handlers block, because databases do: an edge calls them in a thread.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol


class Need(IntEnum):
    """What a caller must be allowed to do, each including those before it."""

    NOTHING = 0  # anybody, unproven: the handler itself looks at what was sent
    READ = 1
    WRITE = 2  # change what is in a tenant
    ADMINISTER = 3  # tenants as such, operators


class Caller(Protocol):
    """Who asks, proven."""

    @property
    def name(self) -> str: ...

    @property
    def allowed(self) -> Need: ...

    @property
    def tenants(self) -> frozenset[str] | None:
        """The ids of the tenants that exist for this caller; None: all."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request as a handler sees it: who asks has been proven and may call the route."""

    method: str
    path: Mapping[str, str]  # the route's named segments, percent-decoded
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)  # percent-decoded, in the order sent
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""
    remote: str = ""  # address the request came from
    caller: Caller | None = None  # None only where the route needs nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer. `body` is what the edge spells as JSON, or bytes with a content type of their own; None: no body."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None  # None: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A query parameter or request header, for the API's description."""

    name: str
    type: Any  # int, str, bool, or a msgspec type
    says: str
    is_header: bool = False
    repeats: bool = False
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer a route may give, for the API's description."""

    says: str
    type: Any = None  # None: no body
    headers: Sequence[str] = ()
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation. `path` has named segments in braces: `/v1/devices/{tenantId}/{deviceId}`."""

    method: str
    path: str
    handler: Callable[[Exchange], Reply]
    need: Need
    tag: str
    summary: str
    answers: Mapping[int, Answer]  # of success; refusals are the edge's
    refusals: Sequence[int] = ()  # statuses that may be told, beyond 400, 401, 403, 404 and 503
    says: str = ""  # more than the summary
    tenant_in: str | None = None  # the segment that names the tenant: who may not reach it is told 404
    parameters: Sequence[Parameter] = ()
    body: Any = None  # the msgspec type of a JSON body; None: none is looked at
    body_required: bool = False
    body_content_type: str = "application/json"
    body_max_bytes: int | None = None  # None: the edge's own bound
    any_origin: bool = True  # answers CORS pre-flights
    also_at: Sequence[str] = ()  # more paths, with the same names in them, that the API's description leaves out


class Router:
    """Finds the route of a method and a decoded path."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._root = _Branch()
        for route in routes:
            for path in (route.path, *route.also_at):
                self._add(route, path)

    def _add(self, route: Route, path: str) -> None:
        branch = self._root
        for segment in path.removeprefix("/").split("/"):
            if segment.startswith("{"):
                branch.any = branch.any or _Branch()
                branch = branch.any
            else:
                branch = branch.named.setdefault(segment, _Branch())
        if route.method in branch.methods:
            raise ValueError(f"two routes for {route.method} {path}")
        branch.methods[route.method] = route

    def find(self, segments: Sequence[str]) -> tuple[Mapping[str, Route], Sequence[str]] | None:
        """The routes of this path by method, and the segments that stand for names; None for an unknown path.

        A segment spelled out goes before one that takes anything.
        """
        branch, taken = self._root, list[str]()
        for segment in segments:
            if segment in branch.named:
                branch = branch.named[segment]
            elif branch.any is not None and segment:
                branch = branch.any
                taken.append(segment)
            else:
                return None
        return (branch.methods, taken) if branch.methods else None


@dataclass(slots=True, eq=False)
class _Branch:
    named: "dict[str, _Branch]" = field(default_factory=dict)
    any: "_Branch | None" = None
    methods: dict[str, Route] = field(default_factory=dict)


def names_in(path: str) -> Sequence[str]:
    """The named segments of a route's path, in order."""
    return [segment[1:-1] for segment in path.split("/") if segment.startswith("{")]
