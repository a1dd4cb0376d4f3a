"""What the operating system knows: cores, a process's CPU time and its resident memory. Linux only.

CPU time is the kernel's account of a whole process, user and system, over all its threads, those that
ended included. It is read from the process's own CPU clock, which counts in nanoseconds;
/proc/PID/stat tells the same in steps of 10 ms.
"""

import os
import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_CPUCLOCK_SCHED = 2  # linux/posix-timers: user and system time of all threads, as the scheduler counted it


class TooFewCores(Exception):
    """A measurement would measure the load as well."""

    def __init__(self, cores: int) -> None:
        super().__init__(
            f"the benchmark needs 2 cores, one for the server and one for the load; this process may use {cores}"
        )


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where."""

    server: int
    load: int


def choose_cores(usable: frozenset[int]) -> Cores:
    """The first for the server, the second for the load. Raises TooFewCores."""
    if len(usable) < 2:
        raise TooFewCores(len(usable))
    server, load = sorted(usable)[:2]
    return Cores(server=server, load=load)


def usable_cores() -> frozenset[int]:
    return frozenset(os.sched_getaffinity(0))


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Run there, and so does every process started meanwhile, for all its life."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_ns(pid: int) -> int:
    """CPU time of a process so far, in nanoseconds. Raises ProcessLookupError when there is none."""
    try:
        return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED)
    except OSError as fault:
        raise ProcessLookupError(f"process {pid} is gone") from fault


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(f"process {pid} has no memory")


def raise_descriptor_limit(wanted: int) -> None:
    """Here and in every process started from now on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


def describe_machine() -> dict[str, object]:
    """What a reader of the figures wants to know of where they were taken."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
