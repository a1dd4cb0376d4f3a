"""Every value comes back from its row as it went in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kernel.ids import AnchorId, AuthId, DeviceId, TenantId
from pki.chains import Authority
from registry.model import CommandEndpoint, Credential, Device, DeviceStatus, Secret
from storage.rows import (
    AUDIT_COLUMNS,
    CREDENTIAL_COLUMNS,
    DEVICE_COLUMNS,
    audit_of,
    audit_row,
    bare_secret_text,
    credential_of,
    credential_row,
    device_of,
    device_row,
    micros,
    moment_of,
    object_text,
    secrets_text,
    texts_text,
)
from storage.rows_tenant import ANCHOR_COLUMNS, TENANT_COLUMNS, anchor_of, anchor_row, tenant_of, tenant_row
from storage.schema import audit, credentials, devices, tenants, trust_anchors
from tenant.audit import AuditRow
from tenant.model import (
    AdapterSettings,
    ConnectionDuration,
    DataVolume,
    DeviceTemplate,
    Period,
    RegistrationLimits,
    ResourceLimits,
    RevocationCheck,
    Tenant,
    Tracing,
    TrustAnchor,
)

texts = st.text(max_size=20)
maybe_text = st.none() | texts
flags = st.booleans()
maybe_flag = st.none() | flags
limits = st.integers(-1, 2**31)
moments = st.datetimes(datetime(1900, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))
maybe_moment = st.none() | moments
scalars = st.none() | flags | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
members: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    texts,
    st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=5),
    max_size=3,
)
many_texts = st.lists(texts, max_size=3).map(tuple)

statuses = st.builds(
    DeviceStatus,
    created=moments,
    updated=maybe_moment,
    auto_provisioned=flags,
    notification_sent=flags,
    last_user=maybe_text,
    gateway_id=st.none() | texts.map(DeviceId),
)
endpoints = st.builds(
    CommandEndpoint,
    uri=st.none() | st.text(min_size=1, max_size=5),
    headers=members,
    payload_properties=members,
)
some_devices = st.builds(
    Device,
    tenant_id=texts.map(TenantId),
    device_id=texts.map(DeviceId),
    status=statuses,
    enabled=maybe_flag,
    via=many_texts,
    via_groups=many_texts,
    member_of=many_texts,
    authorities=many_texts,
    defaults=members,
    ext=members,
    downstream_mapper=maybe_text,
    upstream_mapper=maybe_text,
    command_endpoint=st.none() | endpoints,
    version=texts,
)
secrets = st.builds(
    Secret,
    secret_id=texts,
    enabled=maybe_flag,
    not_before=maybe_moment,
    not_after=maybe_moment,
    comment=maybe_text,
    material=members,
)
some_credentials = st.builds(
    Credential,
    tenant_id=texts.map(TenantId),
    device_id=texts.map(DeviceId),
    type=texts,
    auth_id=texts.map(AuthId),
    enabled=maybe_flag,
    comment=maybe_text,
    ext=members,
    secrets=st.lists(secrets, max_size=3).map(tuple),
)
authorities = st.builds(
    Authority,
    subject_dn=texts,
    public_key_der=st.binary(max_size=10),
    not_before=moments,
    not_after=moments,
    certificate_der=st.none() | st.binary(max_size=10),
    subject_der=st.none() | st.binary(max_size=10),
)
checks = st.builds(
    RevocationCheck,
    enabled=flags,
    responder_uri=maybe_text,
    responder_certificate_der=st.none() | st.binary(max_size=10),
    nonce_enabled=flags,
)
templates = st.builds(
    DeviceTemplate, defaults=members, ext=members, via=many_texts, via_groups=many_texts, member_of=many_texts
)
some_anchors = st.builds(
    TrustAnchor,
    anchor_id=texts.map(AnchorId),
    tenant_id=texts.map(TenantId),
    authority=authorities,
    may_auto_provision=flags,
    provisions_gateways=flags,
    device_id_template=maybe_text,
    auth_id_template=maybe_text,
    provisioning_per_s_max=st.none() | st.floats(0, 1e6),
    revocation=st.none() | checks,
    device_template=st.none() | templates,
)
adapters = st.builds(AdapterSettings, type=texts, enabled=flags, authentication_required=flags, ext=members)
periods = st.none() | st.builds(Period, mode=texts, no_of_days=st.none() | limits)
some_limits = st.builds(
    ResourceLimits,
    max_connections=limits,
    max_ttl_s=limits,
    data_volume=st.none() | st.builds(DataVolume, effective_since=moments, max_bytes=limits, period=periods),
    connection_duration=st.none()
    | st.builds(ConnectionDuration, effective_since=moments, max_minutes=limits, period=periods),
    ext=members,
)
tracings = st.builds(
    Tracing, sampling_mode=maybe_text, sampling_mode_per_auth_id=st.dictionaries(texts, texts, max_size=2)
)
some_tenants = st.builds(
    Tenant,
    tenant_id=texts.map(TenantId),
    enabled=maybe_flag,
    alias=maybe_text,
    trust_anchor_group=maybe_text,
    trust_anchors=st.lists(some_anchors, max_size=2).map(tuple),
    adapters=st.none() | st.lists(adapters, max_size=2).map(tuple),
    defaults=members,
    ext=members,
    resource_limits=st.none() | some_limits,
    registration_limits=st.none() | st.builds(RegistrationLimits, max_devices=limits),
    minimum_message_size=st.integers(0, 2**31),
    tracing=st.none() | tracings,
    created=maybe_moment,
    updated=maybe_moment,
    version=texts,
)
documents = st.none() | members
audit_rows = st.builds(
    AuditRow,
    moment=moments,
    what=texts,
    tenant_id=st.none() | texts.map(TenantId),
    device_id=st.none() | texts.map(DeviceId),
    code=maybe_text,
    facts=st.dictionaries(texts, texts, max_size=2),
    actor=maybe_text,
    remote=maybe_text,
    before=documents,
    after=documents,
)


@given(some_devices)
def test_a_device_survives_its_row(device: Device) -> None:
    assert device_of(device_row(device)) == device


@given(some_credentials)
def test_a_credential_survives_its_row(credential: Credential) -> None:
    assert credential_of(credential_row(credential)) == credential


@given(some_anchors, st.integers(0, 9))
def test_a_trust_anchor_survives_its_row(anchor: TrustAnchor, ordinal: int) -> None:
    row = anchor_row(anchor, ordinal)
    assert row[ANCHOR_COLUMNS.index("ordinal")] == ordinal
    assert anchor_of(row) == anchor


@given(some_tenants)
def test_a_tenant_survives_its_row(tenant: Tenant) -> None:
    assert tenant_of(tenant_row(tenant), tenant.trust_anchors) == tenant


@given(audit_rows, st.integers(1, 9))
def test_an_audit_row_survives_its_row(row: AuditRow, position: int) -> None:
    assert audit_of((position, *audit_row(row))) == replace(row, position=position)


@given(moments, st.integers(-12, 14))
def test_a_moment_keeps_its_microsecond_and_loses_only_its_zone(moment: datetime, hours: int) -> None:
    elsewhere = moment.replace(year=2000).astimezone(timezone(timedelta(hours=hours)))
    assert moment_of(micros(elsewhere)) == elsewhere
    assert moment_of(micros(elsewhere)).tzinfo is UTC
    assert moment_of(micros(moment)) == moment


def test_rows_name_every_column_of_their_table() -> None:
    for table, columns in (
        (tenants, TENANT_COLUMNS),
        (trust_anchors, ANCHOR_COLUMNS),
        (devices, (*DEVICE_COLUMNS, "credentials_version")),  # that one is of the set of credentials
        (credentials, CREDENTIAL_COLUMNS),
        (audit, AUDIT_COLUMNS),
    ):
        assert sorted(columns) == sorted(column.name for column in table.columns)


any_text = st.text(st.characters())  # half characters among them


@given(st.dictionaries(any_text, any_text))
def test_an_object_of_texts_has_the_same_spelling_by_the_shorter_way(texts: dict[str, str]) -> None:
    assert texts_text(texts) == object_text(texts)


@given(any_text)
def test_a_bare_secret_has_the_same_spelling_by_the_shorter_way(secret_id: str) -> None:
    assert bare_secret_text(secret_id) == secrets_text((Secret(secret_id=secret_id),))
