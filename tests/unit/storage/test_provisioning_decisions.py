"""What becomes of orders, given what is on record."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

from kernel.errors import Refused
from registry.errors import DeviceExists, DeviceLimitReached, ProvisioningWithdrawn
from registry.model import AUTHORITY_AUTO_PROVISIONING, KnownDevice, ProvisioningOrder
from storage.provisioning import OnRecord, Provisioned, decide, instant, make_ids
from tests.support.stores import ANCHOR, TENANT, device, order

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def ids() -> Iterator[str]:
    return iter(["version-1", "secret-1", "version-2", "secret-2"])


def permitting() -> OnRecord:
    return OnRecord(permitted={(TENANT, ANCHOR)})


def decided(asked: ProvisioningOrder, on_record: OnRecord) -> KnownDevice | Provisioned | Refused:
    return decide(asked, on_record, ids())


def test_a_stranger_with_permission_is_provisioned() -> None:
    made = decided(order("d"), permitting())
    assert isinstance(made, Provisioned)
    assert (made.known.device.device_id, made.known.device.version) == ("d", "version-1")
    assert [secret.secret_id for secret in made.credential.secrets] == ["secret-1"]
    assert made.audit.device_id == "d"


def test_only_a_gateway_gets_the_authority() -> None:
    for as_gateway, authorities in ((True, (AUTHORITY_AUTO_PROVISIONING,)), (False, ())):
        made = decided(order("d", as_gateway=as_gateway), permitting())
        assert isinstance(made, Provisioned)
        assert made.known.device.authorities == authorities


def test_orders_of_one_group_see_each_other() -> None:
    on_record = permitting()
    first = decided(order("d", auth_id="CN=a", devices_max=1), on_record)
    assert isinstance(first, Provisioned)
    assert decided(order("e", auth_id="CN=a", devices_max=1), on_record) is first.known
    assert isinstance(decided(order("d", auth_id="CN=b"), on_record), DeviceExists)
    assert isinstance(decided(order("f", auth_id="CN=c", devices_max=1), on_record), DeviceLimitReached)
    assert isinstance(decided(order("f", auth_id="CN=c", devices_max=2), on_record), Provisioned)


def test_who_is_on_record_comes_before_every_reason_to_refuse() -> None:
    known = KnownDevice(device=device("d"), credential_enabled=False)
    on_record = OnRecord(known={(TENANT, order("d").auth_id): known}, taken={(TENANT, order("d").device_id)})
    assert decided(order("d", devices_max=0), on_record) is known


def test_a_refused_order_leaves_no_trace_in_the_ledger() -> None:
    on_record = OnRecord()
    assert isinstance(decided(order("d"), on_record), ProvisioningWithdrawn)
    assert (on_record.known, on_record.taken, on_record.device_counts) == ({}, set(), {})


def test_limits_below_zero_are_none() -> None:
    on_record = permitting()
    on_record.device_counts[TENANT] = 1_000_000
    assert isinstance(decided(order("d", devices_max=-1), on_record), Provisioned)


def test_generated_ids_are_version_4_and_differ() -> None:
    made = list(make_ids(200))
    assert len(set(made)) == 200
    assert all(UUID4.fullmatch(entry) for entry in made)
    assert list(make_ids(0)) == []


def test_an_instant_is_utc_with_a_z() -> None:
    moment = datetime(2026, 3, 4, 5, 6, 7, 8999, tzinfo=UTC)
    assert instant(moment) == "2026-03-04T05:06:07.008Z"
    assert instant(moment.astimezone(timezone(timedelta(hours=2)))) == "2026-03-04T05:06:07.008Z"
