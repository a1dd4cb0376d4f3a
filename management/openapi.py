"""The description of the management API in OpenAPI 3.1, made from the Routes and the types that validate.

Nothing is written twice: paths, parameters, bodies and answers are those of the routes, schemas those of msgspec; what
the edge itself refuses is added to every operation. The same routes make the same text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from kernel.exchange import Answer, Need, Parameter, Route, names_in

API_VERSION = "1"
REFERENCE = "#/components/schemas/{name}"
_WORD = re.compile("[A-Za-z0-9]+")

# What the edge may answer to any request of a kind, beside what the route itself refuses.
_ALWAYS = (400, 503)
_OF_PROVEN = (401, 403, 404, 429)
_OF_BODIES = (408, 413)

_SAYS = {
    400: "The request breaks a rule of its form; the message names the member and the rule.",
    401: "Credentials are missing or wrong.",
    403: "The caller is known and may not do this, or a limit of the tenant forbids it.",
    404: "It does not exist, or not for this caller.",
    405: "The path does not take this method.",
    408: "The body did not arrive in time.",
    409: "Another thing already holds that name or place.",
    412: "The thing changed since its version was read.",
    413: "The body is longer than it may be.",
    429: "Too often; come again after the time in Retry-After.",
    503: "Something we lean on did not answer; come again after the time in Retry-After.",
}
_HEADER_SAYS = {
    "ETag": "The version, an opaque text without quotes, for If-Match.",
    "Location": "The path of what was made.",
    "Retry-After": "Seconds.",
    "WWW-Authenticate": "How credentials may be given.",
}


class Refusal(msgspec.Struct, kw_only=True):
    """Why a request was refused: for people, and as a stable word that the reference of refusals explains.

    A refusal may tell more in members of its own.
    """

    error: str
    code: str


def describe(routes: Sequence[Route], *, segments: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """The document. `segments` has a schema for the named segments of paths, by name."""
    schemas, components = _schemas(routes)
    responses = {str(status): _refusal(status) for status in sorted(_SAYS)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = _Operation(route, schemas, segments or {}).described()
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tuhono management API",
            "version": API_VERSION,
            "description": "Tenants, devices and credentials as in the Device Registry Management API of Eclipse Hono,"
            " below `/v1`; what goes beyond it, below `/tuhono/v1`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "responses": responses,
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "Name and password of an operator."},
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a token."},
            },
        },
    }


def _schemas(routes: Sequence[Route]) -> tuple["_Schemas", dict[str, Any]]:
    types: list[Any] = [Refusal]
    for route in routes:
        wanted = [parameter.type for parameter in route.parameters]
        wanted += [answer.type for answer in route.answers.values()]
        types += [one for one in (*wanted, route.body) if one is not None and one not in types]
    made, components = msgspec.json.schema_components(types, ref_template=REFERENCE)
    return _Schemas(list(zip(types, made, strict=True))), components


class _Schemas:
    """The schema of each type; types need not be hashable."""

    def __init__(self, made: Sequence[tuple[Any, dict[str, Any]]]) -> None:
        self._made = made

    def of(self, wanted: Any) -> dict[str, Any]:
        return next(dict(schema) for one, schema in self._made if one is wanted or one == wanted)


class _Operation:
    """One route's description."""

    def __init__(self, route: Route, schemas: _Schemas, segments: Mapping[str, Mapping[str, Any]]) -> None:
        self._route = route
        self._schemas = schemas
        self._segments = segments

    def described(self) -> dict[str, Any]:
        route = self._route
        described: dict[str, Any] = {
            "tags": [route.tag],
            "summary": route.summary,
            "operationId": _operation_id(route),
            "parameters": [*self._path_parameters(), *map(self._parameter, route.parameters)],
            "responses": {**self._answers(), **self._refusals()},
            "security": [] if route.need is Need.NOTHING else [{"basic": []}, {"bearer": []}],
        }
        if route.says:
            described["description"] = route.says
        if route.body is not None:
            described["requestBody"] = {
                "required": route.body_required,
                "content": {route.body_content_type: {"schema": self._schemas.of(route.body)}},
            }
        return described

    def _path_parameters(self) -> Iterator[dict[str, Any]]:
        for name in names_in(self._route.path):
            schema = {"type": "string", "minLength": 1, **self._segments.get(name, {})}
            yield {"name": name, "in": "path", "required": True, "schema": schema}

    def _parameter(self, parameter: Parameter) -> dict[str, Any]:
        schema = self._schemas.of(parameter.type)
        if parameter.repeats:
            schema = {"type": "array", "items": schema}
        described = {
            "name": parameter.name,
            "in": "header" if parameter.is_header else "query",
            "description": parameter.says,
            "required": parameter.required,
            "schema": schema,
        }
        return described | ({"explode": True} if parameter.repeats else {})

    def _answers(self) -> dict[str, Any]:
        return {str(status): self._answer(answer) for status, answer in sorted(self._route.answers.items())}

    def _answer(self, answer: Answer) -> dict[str, Any]:
        described: dict[str, Any] = {"description": answer.says}
        if answer.headers:
            described["headers"] = {name: _header(name) for name in answer.headers}
        if answer.type is not None:
            described["content"] = {answer.content_type: {"schema": self._schemas.of(answer.type)}}
        elif answer.content_type != "application/json":
            described["content"] = {answer.content_type: {}}
        return described

    def _refusals(self) -> dict[str, Any]:
        route = self._route
        statuses = {*_ALWAYS, *route.refusals}
        if route.need is not Need.NOTHING:
            statuses.update(_OF_PROVEN)
        if route.body is not None:
            statuses.update(_OF_BODIES)
        return {str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)}


def _refusal(status: int) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": _SAYS[status],
        "content": {
            "application/json": {
                "schema": {"$ref": REFERENCE.format(name="Refusal")},
                "example": {"error": _SAYS[status], "code": HTTPStatus(status).phrase.lower().replace(" ", "-")},
            }
        },
    }
    headers = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}
    if status in headers:
        described["headers"] = {headers[status]: _header(headers[status])}
    return described


def _header(name: str) -> dict[str, Any]:
    described: dict[str, Any] = {"required": name in _HEADER_SAYS, "schema": {"type": "string"}}
    return described | ({"description": _HEADER_SAYS[name]} if name in _HEADER_SAYS else {})


def _operation_id(route: Route) -> str:
    """`get-v1-devices-tenantId`: as telling as the path, and as lasting."""
    return "-".join([route.method.lower(), *_WORD.findall(route.path)])
