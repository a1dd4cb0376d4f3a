"""JSON schemas that stand for themselves, for places of the API's description that no type can express."""

from typing import Any

import msgspec


def self_contained(shape: Any) -> dict[str, Any]:
    """The schema of a type with everything it refers to put in its place."""
    whole = msgspec.json.schema(shape)
    defined = whole.pop("$defs", {})
    made = _with(whole, defined)
    assert isinstance(made, dict)
    return made


def _with(schema: Any, defined: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_with(entry, defined) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        beside = {name: value for name, value in schema.items() if name != "$ref"}
        return {**_with(defined[schema["$ref"].rpartition("/")[2]], defined), **beside}
    return {name: _with(entry, defined) for name, entry in schema.items()}
