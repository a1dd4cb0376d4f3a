"""One stream out of two: nothing lost, nothing repeated, in the order of time."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from kernel.clock import ManualClock, milliseconds
from kernel.ids import DeviceId, TenantId
from messaging.drivers.memory import MemoryLog
from messaging.message import PROVISIONING_NOTIFICATION, KeptMessage, MessageKind
from storage.memory import MemoryStore
from tenant.audit import AuditRow
from tests.support.messages import a_message
from tuhono.chronicle import Chronicle, Entry, Place, PlaceInvalid

START = ManualClock().now()
ACME, OTHER = TenantId("acme"), TenantId("other")


class CutLog(MemoryLog):
    """A log that may return fewer messages than asked for, as one that bounds bytes does."""

    page_max = 1_000

    def read(self, *, after: int, limit: int, tenant_id: TenantId | None = None) -> Sequence[KeptMessage]:
        return super().read(after=after, limit=min(limit, self.page_max), tenant_id=tenant_id)


class World:
    """Both sources, written by hand."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.log = CutLog(clock=self.clock)
        self.store = MemoryStore(clock=self.clock)
        self.chronicle = Chronicle(messages=self.log, audit=self.store.audit)

    def says(self, second: float, payload: bytes = b"", tenant: TenantId = ACME) -> None:
        when = milliseconds(START + timedelta(seconds=second))
        self.log.append(a_message(payload, tenant_id=tenant, creation_time_ms=when))

    def is_refused(self, second: float, detail: str = "", tenant: TenantId | None = None) -> None:
        self._audits(second, "device.refused", detail, tenant)

    def is_provisioned(self, second: float) -> None:
        self._audits(second, "device.provisioned", "", ACME)

    def _audits(self, second: float, what: str, detail: str, tenant: TenantId | None) -> None:
        moment = START + timedelta(seconds=second)
        facts = {"detail": detail}
        self.store.connect_path.record(AuditRow(moment=moment, what=what, code="nope", tenant_id=tenant, facts=facts))


@pytest.fixture
def world() -> World:
    return World()


def names(entries: Sequence[Entry]) -> list[str]:
    """Payloads of messages and details of refusals."""
    return [name_of(entry) for entry in entries]


def name_of(entry: Entry) -> str:
    if entry.message is not None:
        return (entry.message.message.payload or b"").decode()
    assert entry.refusal is not None
    return entry.refusal.facts["detail"]


def read_all(chronicle: Chronicle, place: Place, *, limit: int, tenant_id: TenantId | None = None) -> list[Entry]:
    found: list[Entry] = []
    while (page := chronicle.read(place, limit=limit, tenant_id=tenant_id)).entries:
        assert len(page.entries) <= limit
        assert page.behind.reaches(page.entries[-1].place)
        found += page.entries
        place = page.behind
    return found


def test_messages_and_refusals_come_in_the_order_of_time(world: World) -> None:
    world.says(1, b"a")
    world.is_refused(2, "b")
    world.says(3, b"c")
    world.is_provisioned(3.5)
    world.is_refused(4, "d")
    page = world.chronicle.read(Place())
    assert names(page.entries) == ["a", "b", "c", "d"]
    assert [entry.kind for entry in page.entries] == ["telemetry", "refusal", "telemetry", "refusal"]
    assert page.behind == Place(2, 3) == world.chronicle.end()


@pytest.mark.parametrize("page_max", [1, 3, 1_000])
@pytest.mark.parametrize("limit", [1, 2, 7, 500])
def test_a_reader_that_resumes_anywhere_misses_and_repeats_nothing(world: World, limit: int, page_max: int) -> None:
    choice = Random(limit * 1_000 + page_max)
    expected: list[str] = []
    for second in range(120):
        name = str(second)
        kind = choice.choice(["says", "is_refused", "is_provisioned"])
        if kind == "says":
            world.says(second, name.encode())
        elif kind == "is_refused":
            world.is_refused(second, name)
        else:
            world.is_provisioned(second)
            continue
        expected.append(name)
    world.log.page_max = page_max
    entries = read_all(world.chronicle, Place(), limit=limit)
    assert names(entries) == expected
    for index, entry in enumerate(entries):
        again = world.chronicle.place_of(str(entry.place))
        assert names(read_all(world.chronicle, again, limit=limit)) == expected[index + 1 :]


def test_a_tenant_reads_its_own_and_comes_past_all_others(world: World) -> None:
    for second in range(50):
        world.says(second, b"theirs", OTHER)
        world.is_refused(second, "theirs", OTHER)
        world.is_refused(second, "nobody's")
    nothing = world.chronicle.read(Place(), tenant_id=ACME)
    assert nothing.entries == []
    assert nothing.behind == world.chronicle.end() == Place(50, 100)
    world.says(60, b"mine")
    world.is_refused(61, "mine, too", ACME)
    assert names(read_all(world.chronicle, nothing.behind, limit=9, tenant_id=ACME)) == ["mine", "mine, too"]


def test_one_silent_source_does_not_hold_a_readers_place_back(world: World) -> None:
    for second in range(5):
        world.is_provisioned(second)
    world.says(9, b"a")
    [entry] = world.chronicle.read(Place()).entries
    assert entry.place == Place(1, 5)


def test_what_comes_while_a_page_is_read_is_read_next(world: World) -> None:
    world.says(1, b"a")
    place = world.chronicle.read(Place()).behind
    world.is_refused(0, "late, with an early clock")
    page = world.chronicle.read(place)
    assert names(page.entries) == ["late, with an early clock"]
    assert page.behind == Place(1, 1)


@pytest.mark.parametrize("count", [0, 1, 2, 5, 40, 10_000])
def test_the_newest_entries_are_found_however_rare_they_are(world: World, count: int) -> None:
    for second in range(2_000):
        tenant = ACME if second % 200 == 0 else OTHER
        world.says(second, f"{tenant}-{second}".encode(), tenant)
        if second % 300 == 0:
            world.is_refused(second + 0.5, f"{ACME}-{second}", ACME)
        world.is_provisioned(second)
    mine = names(read_all(world.chronicle, Place(), limit=500, tenant_id=ACME))
    assert len(mine) == 17
    start = world.chronicle.place_before_newest(count, tenant_id=ACME)
    assert names(read_all(world.chronicle, start, limit=500, tenant_id=ACME)) == mine[max(0, len(mine) - count) :]


def test_a_message_position_alone_starts_the_refusals_where_that_message_was(world: World) -> None:
    world.is_refused(0, "before")
    world.says(1, b"a")
    world.is_refused(2, "between")
    world.says(3, b"b")
    world.is_refused(4, "after")
    expected = {
        "0": ["before", "a", "between", "b", "after"],
        "1": ["b", "after"],
        "2": [],
        "1.1": ["between", "b", "after"],
    }
    for position, following in expected.items():
        start = world.chronicle.place_of(position)
        assert names(read_all(world.chronicle, start, limit=10)) == following


@pytest.mark.parametrize(
    "position", ["", "x", "-1", "1.", ".1", "1.2.3", "1e3", "٣", "1 ", "9" * 19, "3", "3.0", "0.2", "1.2"]
)
def test_what_is_no_position_of_this_log_is_refused(world: World, position: str) -> None:
    world.says(1)
    world.says(2)
    world.is_refused(3)
    with pytest.raises(PlaceInvalid):
        world.chronicle.place_of(position)


def test_a_time_is_the_place_before_what_happened_then(world: World) -> None:
    world.says(1, b"a")
    world.is_refused(2, "b")
    world.says(2, b"c")
    world.is_refused(3, "d")
    start = world.chronicle.place_at(START + timedelta(seconds=2))
    assert names(read_all(world.chronicle, start, limit=10)) == ["c", "b", "d"]
    for moment in (datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)):
        assert world.chronicle.place_at(moment) in {Place(0, 0), world.chronicle.end()}


def test_a_consumer_goes_on_where_it_left_off(world: World) -> None:
    assert world.chronicle.place_of_consumer("billing") == Place()
    world.chronicle.commit_consumer("billing", Place(3, 7))
    world.chronicle.commit_consumer("billing", Place(2, 6))  # never backwards
    assert world.chronicle.place_of_consumer("billing") == Place(3, 7)
    assert world.chronicle.place_of_consumer("else") == Place()


def test_a_change_in_either_source_changes_the_mark(world: World) -> None:
    marks = [world.chronicle.mark()]
    assert world.chronicle.mark() == marks[0]
    world.says(1)
    marks.append(world.chronicle.mark())
    world.is_refused(2)
    marks.append(world.chronicle.mark())
    assert len(set(marks)) == 3


def test_an_entry_as_json_has_all_an_application_needs(world: World) -> None:
    message = a_message(
        b"\x00\xff", tenant_id="acme", device_id="d-1", kind=MessageKind.EVENT, qos=1, content_type="a/b", ttl_ms=5_000
    )
    world.log.append(message)
    [entry] = world.chronicle.read(Place()).entries
    assert entry.as_json() == {
        "position": "1.0",
        "time": "2026-01-01T00:00:00.000+00:00",
        "kind": "event",
        "tenant": "acme",
        "device": "d-1",
        "content_type": "a/b",
        "qos": 1,
        "ttl_ms": 5_000,
        "payload": "AP8=",
        "properties": {"orig_adapter": "hono-mqtt"},
    }


@pytest.mark.parametrize(("payload", "expected"), [(None, None), (b"", "")])
def test_no_payload_and_an_empty_one_differ(world: World, payload: bytes | None, expected: str | None) -> None:
    world.log.append(a_message(payload))
    assert world.chronicle.read(Place()).entries[0].as_json()["payload"] == expected


def test_a_provisioning_notification_is_told_apart_from_events(world: World) -> None:
    world.log.append(a_message(None, kind=MessageKind.EVENT, content_type=PROVISIONING_NOTIFICATION))
    assert world.chronicle.read(Place()).entries[0].kind == "provisioning"


def test_the_facts_of_a_refusal_never_take_the_place_of_what_it_is(world: World) -> None:
    facts = {"position": "999", "kind": "telemetry", "code": "fine", "tenant": "else", "subject": "CN=a", "remote": "b"}
    row = AuditRow(moment=START, what="device.refused", code="untrusted-issuer", device_id=DeviceId("d"), facts=facts)
    world.store.connect_path.record(row)
    assert world.chronicle.read(Place()).entries[0].as_json() == {
        "position": "0.1",
        "time": "2026-01-01T00:00:00.000+00:00",
        "kind": "refusal",
        "tenant": None,
        "device": "d",
        "code": "untrusted-issuer",
        "subject": "CN=a",
        "remote": "b",
    }


def is_told(world: World, second: float, document: bytes = b'{"type":"tenant-change-v1"}') -> None:
    when = milliseconds(START + timedelta(seconds=second))
    world.log.append(
        a_message(document, device_id="", kind=MessageKind.NOTIFICATION, creation_time_ms=when, properties={})
    )


def of_kinds(world: World, *kinds: str) -> Chronicle:
    return Chronicle(messages=world.log, audit=world.store.audit, kinds=kinds)


def test_notifications_are_for_those_who_ask_for_them(world: World) -> None:
    world.says(1, b"m1")
    is_told(world, 2)
    world.is_refused(3, "r1")
    entries = read_all(world.chronicle, Place(), limit=10)
    assert names(entries) == ["m1", "r1"]
    [notification] = read_all(of_kinds(world, "notification"), Place(), limit=10)
    assert notification.kind == "notification"
    assert notification.as_json()["notification"] == {"type": "tenant-change-v1"}


def test_what_is_left_out_counts_as_read(world: World) -> None:
    for second in range(20):
        is_told(world, second)
    page = world.chronicle.read(Place(), limit=3)
    assert page.entries == [] and page.behind == world.chronicle.end()


@pytest.mark.parametrize("page_max", [1, 3, 1_000])
def test_who_wants_some_kinds_finds_each_of_them_however_rare(world: World, page_max: int) -> None:
    world.log.page_max = page_max
    for second in range(30):
        world.says(second, b"m%d" % second)
        if second % 10 == 9:
            is_told(world, second + 0.5, b'"n%d"' % second)
            world.is_refused(second + 0.6, f"r{second}")
    assert names(read_all(of_kinds(world, "notification"), Place(), limit=5)) == ['"n9"', '"n19"', '"n29"']
    assert names(read_all(of_kinds(world, "refusal"), Place(), limit=2)) == ["r9", "r19", "r29"]
    both = read_all(of_kinds(world, "refusal", "notification"), Place(), limit=2)
    assert names(both) == ['"n9"', "r9", '"n19"', "r19", '"n29"', "r29"]
    assert len(read_all(of_kinds(world, "telemetry"), Place(), limit=7)) == 30


def test_the_newest_of_a_kind_are_found_behind_many_of_another(world: World) -> None:
    is_told(world, 0, b'"first"')
    is_told(world, 1, b'"second"')
    for second in range(2, 50):
        world.says(second)
    chronicle = of_kinds(world, "notification")
    assert names(read_all(chronicle, chronicle.place_before_newest(1), limit=5)) == ['"second"']
