"""Groups of messages in the form they are written in."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.ids import DeviceId, TenantId
from messaging.drivers.embedded_records import (
    GROUP_MESSAGES_MAX,
    GROUP_PAYLOAD_BYTES_MAX,
    decode_group,
    encode_group,
    split_into_groups,
)
from messaging.message import DeviceMessage, MessageKind
from tests.support.messages import a_message

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text()  # every character but lone surrogates
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.builds(
    DeviceMessage,
    tenant_id=st.sampled_from(["acme", "other"]).map(TenantId) | TEXT.map(TenantId),
    device_id=TEXT.map(DeviceId),
    kind=st.sampled_from(MessageKind),
    qos=st.integers(0, 1),
    payload=st.none() | st.binary(max_size=50),
    content_type=st.none() | TEXT,
    creation_time_ms=INT64,
    ttl_ms=st.none() | INT64,
    properties=st.dictionaries(TEXT, JSON, max_size=4),
)


@given(st.lists(MESSAGES, min_size=1, max_size=20), st.integers(0, 2**40))
def test_any_messages_come_out_as_they_went_in_at_consecutive_positions(
    messages: list[DeviceMessage], before: int
) -> None:
    group = encode_group(messages)
    kept = list(decode_group(before + group.size, group.tenants, group.messages, group.payloads))
    assert [each.message for each in kept] == messages
    assert [each.position for each in kept] == list(range(before + 1, before + len(messages) + 1))


@given(st.lists(MESSAGES, min_size=1, max_size=20))
def test_a_group_knows_its_tenants_and_its_newest_message(messages: list[DeviceMessage]) -> None:
    group = encode_group(messages)
    assert sorted(group.tenant_ids) == sorted({message.tenant_id for message in messages})
    assert group.newest_ms == max(message.creation_time_ms for message in messages)


def test_properties_may_be_any_mapping() -> None:
    group = encode_group([a_message(properties=MappingProxyType({"ttd": MappingProxyType({"s": 5})}))])
    (kept,) = decode_group(1, group.tenants, group.messages, group.payloads)
    assert kept.message.properties == {"ttd": {"s": 5}}


def _endless() -> dict[str, Any]:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    return endless


@pytest.mark.parametrize("properties", [{"raw": b"bytes"}, {"set": {1}}, {("a", "b"): 1}, _endless()])
def test_properties_without_a_json_form_are_refused(properties: Mapping[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError, RecursionError)):
        encode_group([a_message(properties=properties)])


def test_a_tenant_id_that_is_not_text_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        encode_group([a_message(tenant_id="\ud800")])


@given(st.lists(st.integers(0, GROUP_PAYLOAD_BYTES_MAX // 3), max_size=12), st.integers(0, 600))
def test_groups_keep_the_order_and_stay_within_their_bounds(large: list[int], small: int) -> None:
    messages = [a_message(bytes(size)) for size in large] + [a_message(None)] * small
    groups = list(split_into_groups(messages, sum(large)))
    assert [message for group in groups for message in group] == messages
    for group in groups:
        assert len(group) <= GROUP_MESSAGES_MAX
        assert sum(len(message.payload or b"") for message in group) <= GROUP_PAYLOAD_BYTES_MAX


def test_a_message_larger_than_a_group_may_be_makes_one_of_its_own() -> None:
    messages = [a_message(b"1"), a_message(bytes(GROUP_PAYLOAD_BYTES_MAX + 1)), a_message(b"2")]
    groups = list(split_into_groups(messages, GROUP_PAYLOAD_BYTES_MAX + 3))
    assert [list(group) for group in groups] == [[message] for message in messages]
