"""Requests that two readers could understand differently, byte for byte, and what each is called."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from adapters.http.refusals import status_of
from adapters.http.wire.head import RequestLimits, parse_head
from adapters.http.wire.reader import RequestReader
from kernel.errors import Refused

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "http" / "refused.json").read_text())
LIMITS = RequestLimits(header_max_bytes=8192, headers_max=64, body_max_bytes=2048)


def fault_of(chunks: list[bytes]) -> Refused | None:
    reader = RequestReader(
        read=partial(parse_head, limits=LIMITS), limits=LIMITS, request_deadline_s=10, idle_s=75, now=0
    )
    try:
        for chunk in chunks:
            reader.feed(chunk, 0)
            while reader.next_body() is not None or reader.next_head() is not None:
                continue
    except Refused as fault:
        return fault
    return None


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_request_two_readers_could_understand_differently_is_refused_by_name(vector: dict[str, Any]) -> None:
    fault = fault_of([vector["request"].encode("latin-1")])
    assert fault is not None
    assert (fault.code, status_of(fault)) == (vector["code"], vector["status"])


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_it_is_refused_just_as_well_when_it_arrives_byte_by_byte(vector: dict[str, Any]) -> None:
    request = vector["request"].encode("latin-1")
    assert fault_of([request[at : at + 1] for at in range(len(request))]) is not None


def test_every_vector_has_a_name_of_its_own() -> None:
    assert len({vector["name"] for vector in VECTORS}) == len(VECTORS)
