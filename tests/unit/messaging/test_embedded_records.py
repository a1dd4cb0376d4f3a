"""Groups of bundles in the form they are written in."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.ids import DeviceId, TenantId
from messaging.drivers.embedded_records import (
    GROUP_BYTES_MAX,
    GROUP_MESSAGES_MAX,
    ORDINARY_BYTES,
    Group,
    bytes_of,
    decode_group,
    encode_group,
    form_of,
    split_into_groups,
)
from messaging.message import Bundle, DeviceMessage, Envelope, KeptMessage, MessageKind
from tests.support.messages import a_bundle, an_envelope

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text()  # every character but lone surrogates
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ENVELOPES = st.builds(
    Envelope,
    tenant_id=st.sampled_from(["acme", "other"]).map(TenantId) | TEXT.map(TenantId),
    device_id=TEXT.map(DeviceId),
    kind=st.sampled_from(MessageKind),
    qos=st.integers(0, 1),
    content_type=st.none() | TEXT,
    ttl_ms=st.none() | INT64,
    properties=st.dictionaries(TEXT, JSON, max_size=4),
)
PAYLOADS = st.lists(st.none() | st.binary(max_size=50), min_size=1, max_size=6)


@st.composite
def bundles(draw: st.DrawFn) -> list[Bundle]:
    """Of a few envelopes, as each connection sends several."""
    envelopes = draw(st.lists(ENVELOPES, min_size=1, max_size=5))
    drawn = draw(st.lists(st.tuples(st.sampled_from(envelopes), INT64, PAYLOADS), min_size=1, max_size=12))
    return [formed(Bundle(*parts)) for parts in drawn]


def formed(bundle: Bundle) -> Bundle:
    """As it is once it was submitted."""
    bundle.envelope.form = bundle.envelope.form or form_of(bundle.envelope)
    return bundle


def messages_of(group: Sequence[Bundle]) -> list[DeviceMessage]:
    return [message for bundle in group for message in bundle.messages()]


def groups_of(sent: Sequence[Bundle]) -> list[Sequence[Bundle]]:
    return list(split_into_groups(sent, len(messages_of(sent)), sum(map(bytes_of, sent))))


def decoded(group: Group, last_position: int = 0) -> list[KeptMessage]:
    return list(decode_group(last_position, group.size, group.heads, group.bundles, group.payloads))


@given(bundles(), st.integers(0, 2**40))
def test_any_messages_come_out_as_they_went_in_at_consecutive_positions(sent: list[Bundle], before: int) -> None:
    group = encode_group(sent)
    kept = decoded(group, before + group.size)
    assert [each.message for each in kept] == messages_of(sent)
    assert [each.position for each in kept] == list(range(before + 1, before + group.size + 1))


@given(bundles())
def test_a_group_knows_its_tenants_and_its_newest_message(sent: list[Bundle]) -> None:
    group = encode_group(sent)
    assert sorted(group.tenant_ids) == sorted({bundle.envelope.tenant_id for bundle in sent})
    assert group.newest_ms == max(bundle.creation_time_ms for bundle in sent)


def test_what_devices_have_in_common_is_written_once() -> None:
    fleet = [formed(a_bundle(device_id=f"sensor-{number}")) for number in range(100)]
    group = encode_group(fleet)
    assert group.heads.count("orig_adapter") == 1
    assert len({id(bundle.envelope.form.head) for bundle in fleet}) == 1


def test_a_message_more_of_a_bundle_adds_its_length_and_its_payload() -> None:
    one, two = (encode_group([formed(a_bundle(*[b"22.5"] * count))]) for count in (1, 2))
    assert (two.heads, len(two.payloads)) == (one.heads, len(one.payloads) + 4)
    assert len(two.bundles) == len(one.bundles) + len(", 4")


def test_properties_may_be_any_mapping() -> None:
    sent = formed(a_bundle(properties=MappingProxyType({"ttd": MappingProxyType({"s": 5})})))
    (kept,) = decoded(encode_group([sent]))
    assert kept.message.properties == {"ttd": {"s": 5}}


def _endless() -> dict[str, Any]:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    return endless


@pytest.mark.parametrize("properties", [{"raw": b"bytes"}, {"set": {1}}, {("a", "b"): 1}, _endless()])
def test_properties_without_a_json_form_are_refused(properties: Mapping[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError, RecursionError)):
        form_of(an_envelope(properties=properties))


def test_a_tenant_id_that_is_not_text_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        form_of(an_envelope(tenant_id="\ud800"))


@st.composite
def sizes(draw: st.DrawFn) -> list[list[int | None]]:
    """Of the payloads of bundles, among which a group's bounds lie in the most various places."""
    large = st.lists(st.none() | st.integers(0, GROUP_BYTES_MAX // 3), min_size=1, max_size=6)
    small = st.integers(1, 600).map(_of_one_byte)
    return draw(st.lists(large | small, min_size=1, max_size=8))


def _of_one_byte(count: int) -> list[int | None]:
    return [1] * count


@given(sizes(), st.sampled_from([0, 10_000]))
def test_groups_keep_the_order_and_stay_within_their_bounds(drawn: list[list[int | None]], address: int) -> None:
    sent = [
        formed(a_bundle(*[None if size is None else bytes(size) for size in each], properties={"a": "x" * address}))
        for each in drawn
    ]
    groups = groups_of(sent)
    assert messages_of([bundle for group in groups for bundle in group]) == messages_of(sent)
    for group in groups:
        assert 1 <= len(messages_of(group)) <= GROUP_MESSAGES_MAX
        assert sum(map(bytes_of, group)) <= GROUP_BYTES_MAX


def test_a_message_larger_than_a_group_may_be_makes_one_of_its_own() -> None:
    sent = formed(a_bundle(b"1", bytes(GROUP_BYTES_MAX + 1), b"2"))
    groups = groups_of([sent])
    assert [[message.payload for message in messages_of(group)] for group in groups] == [
        [payload] for payload in sent.payloads
    ]


def test_an_envelope_of_unusual_size_counts_like_a_payload() -> None:
    sent = [formed(a_bundle(properties={"orig_address": "x" * GROUP_BYTES_MAX})) for _ in range(3)]
    assert [len(group) for group in groups_of(sent)] == [1, 1, 1]
    usual = formed(a_bundle(properties={"orig_address": "x" * (ORDINARY_BYTES // 2)}))
    assert bytes_of(usual) == usual.payload_bytes
