"""The description of an API is made from its routes, and says of every operation what it may answer."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from kernel.exchange import Answer, Exchange, Need, Parameter, Reply, Route
from management.openapi import describe


class Thing(msgspec.Struct, forbid_unknown_fields=True, rename="kebab"):
    """A thing."""

    long_name: Annotated[str, Meta(max_length=5)]


def handler(_: Exchange) -> Reply:
    raise NotImplementedError


def route(method: str = "GET", path: str = "/v1/things/{thingId}", **more: Any) -> Route:
    answer = Answer(says="It.", type=Thing, headers=("ETag",))
    choices: dict[str, Any] = {"need": Need.READ, "answers": {200: answer}} | more
    return Route(method=method, path=path, handler=handler, tag="things", summary="A thing", **choices)


def operation(described: Route, **choices: Any) -> dict[str, Any]:
    paths = describe([described], **choices)["paths"]
    found: dict[str, Any] = paths[described.path][described.method.lower()]
    return found


def test_types_are_described_once_and_referred_to() -> None:
    document = describe([route(), route("PUT", body=Thing, body_required=True, answers={204: Answer(says="Done.")})])
    assert document["components"]["schemas"]["Thing"]["additionalProperties"] is False
    read, write = (document["paths"]["/v1/things/{thingId}"][method] for method in ("get", "put"))
    thing = {"$ref": "#/components/schemas/Thing"}
    assert read["responses"]["200"]["content"]["application/json"]["schema"] == thing
    assert read["responses"]["200"]["headers"]["ETag"]["required"] is True
    assert write["requestBody"] == {"required": True, "content": {"application/json": {"schema": thing}}}
    assert "content" not in write["responses"]["204"]


def test_every_operation_has_the_refusals_of_the_edge_and_its_own() -> None:
    assert set(operation(route())["responses"]) == {"200", "400", "401", "403", "404", "429", "503"}
    mine = operation(route("POST", need=Need.NOTHING, body=Thing, refusals=(409, 401)))["responses"]
    assert set(mine) == {"200", "400", "401", "408", "409", "413", "503"}
    refusals = describe([])["components"]["responses"]
    for status, refusal in refusals.items():
        schema = refusal["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Refusal"}, status


def test_who_is_asked_for_credentials_is_said() -> None:
    assert operation(route())["security"] == [{"basic": []}, {"bearer": []}]
    assert operation(route(need=Need.NOTHING))["security"] == []


def test_parameters_carry_their_rules() -> None:
    parameters = [
        Parameter(name="pageSize", type=Annotated[int, Meta(ge=1)], says="How many."),
        Parameter(name="filterJson", type=str, says="Which.", repeats=True),
        Parameter(name="If-Match", type=str, says="The version.", is_header=True),
    ]
    found = operation(route(parameters=parameters), segments={"thingId": {"pattern": "^a+$"}})["parameters"]
    assert [(one["name"], one["in"], one["required"]) for one in found] == [
        ("thingId", "path", True),
        ("pageSize", "query", False),
        ("filterJson", "query", False),
        ("If-Match", "header", False),
    ]
    assert found[0]["schema"] == {"type": "string", "minLength": 1, "pattern": "^a+$"}
    assert found[1]["schema"] == {"type": "integer", "minimum": 1}
    assert (found[2]["schema"], found[2]["explode"]) == ({"type": "array", "items": {"type": "string"}}, True)


def test_names_of_operations_tell_them_apart() -> None:
    assert operation(route())["operationId"] == "get-v1-things-thingId"
    assert operation(route("DELETE", "/v1/things"))["operationId"] == "delete-v1-things"


def test_other_content_than_json_is_named() -> None:
    lines = Answer(says="Lines.", content_type="application/x-ndjson")
    found = operation(route(answers={200: lines}, body=str, body_content_type="application/x-ndjson"))
    assert found["responses"]["200"]["content"] == {"application/x-ndjson": {}}
    assert list(found["requestBody"]["content"]) == ["application/x-ndjson"]
