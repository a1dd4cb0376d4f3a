"""The rows of the table: what is measured, beside whom, and what is to be reached."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import works
from benchmarks.works import Work

MICROSECONDS, KIBIBYTES = "µs", "KiB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One operation. `beside` are the servers it is compared with; the first is the one the target names."""

    name: str
    title: str
    beside: tuple[str, ...]
    operations: int  # per round and server
    quick_operations: int
    unit: str = MICROSECONDS
    ratio_max: float | None = None  # to the first of `beside`
    value_max: float | None = None  # in `unit`
    make_work: Callable[[], Work] | None = None  # None: memory, which is no operation

    @property
    def servers(self) -> tuple[str, ...]:
        return ("tuhono", *self.beside)


ROWS = (
    Row(
        name="connect",
        title="connect, known device",
        beside=("mosquitto", "floor"),
        operations=300,
        quick_operations=150,
        ratio_max=0.75,
        make_work=works.Connect,
    ),
    Row(
        name="provision",
        title="connect + provision",
        beside=("mosquitto",),
        operations=300,
        quick_operations=150,
        ratio_max=0.85,
        make_work=works.Provision,
    ),
    Row(
        name="publish-1",
        title="QoS 1 publish, kept; window 1",
        beside=("mosquitto", "floor"),
        operations=20_000,
        quick_operations=5_000,
        ratio_max=2.0,
        make_work=lambda: works.publish(window=1),
    ),
    Row(
        name="publish-10",
        title="QoS 1 publish, kept; window 10",
        beside=("mosquitto", "floor"),
        operations=30_000,
        quick_operations=10_000,
        ratio_max=0.5,
        make_work=lambda: works.publish(window=10, together=True),
    ),
    Row(
        name="publish-10-apart",
        title="the same, a record each",
        beside=("mosquitto", "floor"),
        operations=30_000,
        quick_operations=10_000,
        make_work=lambda: works.publish(window=10),
    ),
    Row(
        name="post-1",
        title="HTTP POST, QoS 1, kept",
        beside=("nginx", "floor"),
        operations=15_000,
        quick_operations=5_000,
        ratio_max=2.0,
        make_work=lambda: works.post(qos=1),
    ),
    Row(
        name="post-0",
        title="HTTP POST, QoS 0",
        beside=("nginx", "floor"),
        operations=15_000,
        quick_operations=5_000,
        ratio_max=2.0,
        make_work=lambda: works.post(qos=0),
    ),
    Row(
        name="coap",
        title="CoAP POST over DTLS, kept",
        beside=("libcoap",),
        operations=10_000,
        quick_operations=4_000,
        make_work=works.upload,
    ),
    Row(
        name="memory",
        title="memory, idle connection",
        beside=("mosquitto", "floor"),
        operations=1000,
        quick_operations=300,
        unit=KIBIBYTES,
        value_max=45.0,
    ),
)


class UnknownRow(Exception):
    """A name that no row has."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no row {name!r}; there are {', '.join(row.name for row in ROWS)}")


def choose_rows(names: list[str]) -> tuple[Row, ...]:
    """Those named, in the order of the table; all of them when none is. Raises UnknownRow."""
    known = {row.name for row in ROWS}
    for name in names:
        if name not in known:
            raise UnknownRow(name)
    return tuple(row for row in ROWS if not names or row.name in names)
