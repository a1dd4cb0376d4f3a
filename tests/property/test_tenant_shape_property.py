"""Tenants on the wire: whatever is sent is taken or refused as malformed; what is taken is shown as it was sent."""

import base64
import json
from copy import deepcopy
from dataclasses import replace
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dialects.hono.shapes.tenant import TenantBody, tenant_of, tenant_shown
from dialects.hono.shapes.values import decode, moment_of, moment_text, parse_json
from kernel.errors import Malformed
from kernel.ids import AnchorId
from pki.names import encode_name, normalise
from tenant.model import Tenant
from tenant.rules import check_tenant
from tests.support.certificates import make_ca

KEYS = {
    "EC": make_ca("CN=a").public_key_der,
    "RSA": make_ca("CN=b", key="rsa2048").public_key_der,
    "Ed25519": make_ca("CN=c", key="ed25519").public_key_der,
}
CERTIFICATE = base64.b64encode(make_ca("CN=Certificate CA").der).decode()

plain = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts
numbers = st.floats(allow_nan=False, allow_infinity=False)
anything = st.recursive(
    scalars | numbers, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)
free = st.dictionaries(texts, anything, min_size=1, max_size=3)
counts = st.integers(-1, 2**31 - 1)
limits = st.integers(0, 2**31 - 1)
moments = st.datetimes().map(lambda moment: moment.replace(microsecond=0).isoformat() + "Z")
links = st.lists(plain, min_size=1, max_size=3, unique=True)
templates = st.tuples(plain, st.sampled_from(["{{subject-cn}}", "{{subject-dn}}", "{{san-dns}}"])).map("".join)
modes = st.sampled_from(["default", "all", "none"])


def some(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of the members, none of which has to be there."""
    named = {name.replace("__", "-"): strategy for name, strategy in members.items()}
    return st.fixed_dictionaries({}, optional=named)


def filled(strategy: st.SearchStrategy[dict[str, Any]], **members: st.SearchStrategy[Any]) -> Any:
    """The same with members that are always there."""
    named = {name.replace("__", "-"): strategy for name, strategy in members.items()}
    return st.tuples(strategy, st.fixed_dictionaries(named)).map(lambda both: both[0] | both[1])


periods = filled(some(no__of__days=st.integers(1, 1000)), mode=st.sampled_from(["monthly", "unknown"])) | filled(
    some(), mode=st.just("days"), no__of__days=st.integers(1, 1000)
)
device_templates = some(defaults=free, ext=free, viaGroups=links) | some(via=links) | some(memberOf=links)


@st.composite
def authorities(draw: st.DrawFn) -> dict[str, Any]:
    algorithm = draw(st.sampled_from(sorted(KEYS)))
    first, second = sorted(draw(st.tuples(moments, moments)))
    name = normalise("CN=" + "".join(f"\\{octet:02x}" for octet in draw(plain).encode()))
    entry = {
        "subject-dn": name,
        "public-key": base64.b64encode(KEYS[algorithm]).decode(),
        "algorithm": algorithm,
        "not-before": first,
        "not-after": second,
    }
    if draw(st.booleans()):
        entry["subject-dn-bytes"] = base64.b64encode(encode_name(name)).decode()
    return entry


@st.composite
def anchors(draw: st.DrawFn) -> dict[str, Any]:
    members = some(
        auth__id__template=templates,
        auto__provisioning__device__id__template=templates,
        ocsp__responder__uri=st.just("https://ocsp.example.com/"),
        ocsp__nonce__enabled=st.just(True),
        provisioning__rate__max=st.floats(0, 1e6),
        device__template=device_templates,
    )
    flags = st.fixed_dictionaries(
        {"auto-provisioning-enabled": st.booleans(), "auto-provision-as-gateway": st.booleans()}
    )
    none: dict[str, Any] = {}
    ocsp = st.just(none) | st.just({"ocsp-revocation-enabled": True, "ocsp-responder-cert": CERTIFICATE})
    return {"id": draw(plain)} | draw(authorities()) | draw(members) | draw(flags) | draw(ocsp)


documents = some(
    enabled=st.booleans(),
    alias=st.text("abcz019-", min_size=1, max_size=63),
    ext=free,
    defaults=free,
    minimum__message__size=st.integers(1, 2**31 - 1),
    registration__limits=filled(some(), max__devices=counts, max__credentials__per__device=counts),
    resource__limits=some(
        max__connections=limits,
        max__ttl=limits,
        max__ttl__telemetry__qos0=limits,
        max__ttl__telemetry__qos1=limits,
        max__ttl__command__response=limits,
        data__volume=filled(some(max__bytes=limits, period=periods), effective__since=moments),
        connection__duration=filled(some(max__minutes=limits, period=periods), effective__since=moments),
        ext=free,
    ),
    tracing=some(
        sampling__mode=modes, sampling__mode__per__auth__id=st.dictionaries(plain, modes, min_size=1, max_size=3)
    ),
    trust__anchor__group=plain,
    adapters=st.lists(
        filled(some(ext=free), type=plain, enabled=st.booleans(), device__authentication__required=st.booleans()),
        min_size=1,
        max_size=3,
        unique_by=lambda adapter: adapter["type"],
    ),
    trusted__ca=st.lists(anchors(), min_size=1, max_size=2, unique_by=lambda anchor: anchor["id"]),
)


def taken(body: bytes) -> Tenant:
    tenant = tenant_of(decode(TenantBody, body), "acme")
    named = [
        replace(anchor, anchor_id=anchor.anchor_id or AnchorId(f"made-{place}"))
        for place, anchor in enumerate(tenant.trust_anchors)
    ]
    tenant = replace(tenant, trust_anchors=tuple(named))
    check_tenant(tenant)
    return tenant


def shown(tenant: Tenant) -> Any:
    return json.loads(msgspec.json.encode(tenant_shown(tenant)))


def places(document: Any) -> list[tuple[Any, Any]]:
    """Every place in a document: what holds it, and under which name."""
    found: list[tuple[Any, Any]] = []
    entries = document.items() if isinstance(document, dict) else enumerate(document)
    for name, member in list(entries):
        found.append((document, name))
        if isinstance(member, dict | list):
            found += places(member)
    return found


@given(documents)
def test_a_valid_document_is_shown_as_it_was_sent(document: dict[str, Any]) -> None:
    tenant = taken(json.dumps(document).encode())
    assert shown(tenant) == document
    again = taken(msgspec.json.encode(tenant_shown(tenant)))
    assert again == tenant


@given(documents.filter(bool), anything, st.data())
def test_a_document_with_anything_in_any_place_is_taken_or_refused(
    document: dict[str, Any], odd: Any, data: st.DataObject
) -> None:
    bent = deepcopy(document)
    holder, name = data.draw(st.sampled_from(places(bent)))
    holder[name] = odd
    try:
        tenant = taken(json.dumps(bent).encode())
    except Malformed as refusal:
        assert 0 < len(str(refusal)) < 20_000
        return
    assert taken(msgspec.json.encode(tenant_shown(tenant))) == tenant


@given(st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_taken_or_refused(body: bytes) -> None:
    try:
        taken(body)
    except Malformed:
        return


@given(st.text('{}[]":,\\u0d8tre1-+.Ee \n', max_size=40).map(str.encode))
def test_anything_near_json_is_read_or_refused(body: bytes) -> None:
    try:
        value = parse_json(body)
    except Malformed:
        return
    assert json.loads(body) == value


@given(st.datetimes(), st.integers(-23 * 60 - 59, 23 * 60 + 59))
def test_times_come_back_in_utc(moment: Any, offset_minutes: int) -> None:
    sign, minutes = "-" if offset_minutes < 0 else "+", abs(offset_minutes)
    text = f"{moment.isoformat()}{sign}{minutes // 60:02}:{minutes % 60:02}"
    try:
        read = moment_of(text, "m")
    except Malformed:
        assert moment.year in {1, 9999}
        return
    assert read is not None
    assert moment_of(moment_text(read), "m") == read.replace(microsecond=0)


@given(st.text("0123456789-:+.TZtz", max_size=30))
def test_any_text_is_a_time_or_is_refused(text: str) -> None:
    try:
        moment_of(text, "m")
    except Malformed:
        return
