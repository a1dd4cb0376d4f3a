"""Ids for devices that no template names."""

import uuid

from kernel.ids import DEVICE_ID_PATTERN, IdRule
from registry.device_ids import IDS_PER_DRAW, DeviceIds

NOW_MS = 1_767_268_800_123


def test_they_are_uuids_of_version_7_and_differ() -> None:
    ids = DeviceIds()
    made = [ids.make(NOW_MS) for _ in range(3 * IDS_PER_DRAW + 1)]
    assert len(set(made)) == len(made)
    assert {(uuid.UUID(one).version, uuid.UUID(one).variant) for one in made} == {(7, uuid.RFC_4122)}
    assert all(str(uuid.UUID(one)) == one and IdRule(DEVICE_ID_PATTERN).allows(one) for one in made)
    assert {uuid.UUID(one).int >> 80 for one in made} == {NOW_MS}


def test_they_come_in_the_order_of_their_making() -> None:
    ids = DeviceIds()
    made = [ids.make(NOW_MS + at) for at in range(200)]
    assert made == sorted(made)


def test_two_processes_make_different_ones() -> None:
    assert DeviceIds().make(NOW_MS) != DeviceIds().make(NOW_MS)
