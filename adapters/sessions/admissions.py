"""Waits for admission on behalf of connections: a task for each that something has to be waited for.

Most need none: a known device is admitted with the lookup, which does not wait where the registry is at hand.

The tasks live in a TaskGroup that `run` owns. A connection that goes away meanwhile does not stop its
admission: a device half registered is worse than a verdict nobody waits for.
"""

import asyncio
import logging
from collections.abc import Callable

from adapters.admission.admission import Admission, Admitted, Undecided
from adapters.admission.evidence import Evidence
from adapters.sessions.errors import AdmissionsFull, ShuttingDown
from kernel.errors import TuhonoError
from kernel.log import fields

log = logging.getLogger(__name__)

Verdict = Callable[[Admitted | None, Exception | None], None]


class Admissions:
    """At most `admissions_max` verdicts are awaited at one time."""

    def __init__(self, *, admission: Admission, admissions_max: int) -> None:
        self._admission = admission
        self._admissions_max = admissions_max
        self._pending = 0
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def is_open(self) -> bool:
        """Whether `run` is running."""
        return self._tasks is not None

    async def run(self) -> None:
        """Take orders until cancelled; what is pending then is cancelled too."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                await asyncio.get_running_loop().create_future()
        finally:
            self._tasks = None

    def begin(self, evidence: Evidence, verdict: Verdict) -> None:
        """`verdict` is called once, later: with what was admitted (None: anonymous) or with the error. It must
        not raise.

        Raises AdmissionsFull or ShuttingDown instead. No verdict comes where `run` is cancelled while it waits.
        """
        if self._tasks is None:
            raise ShuttingDown("admissions are closed")
        if self._pending >= self._admissions_max:
            raise AdmissionsFull(f"{self._pending} devices are waiting to be admitted")
        decided, error = self._decide(evidence)
        if isinstance(decided, Undecided):
            self._wait(decided, verdict)
        else:
            as_of = self._admission.changes_seen
            asyncio.get_running_loop().call_soon(self._tell, evidence, verdict, decided, error, as_of)

    def _decide(self, evidence: Evidence) -> tuple[Admitted | Undecided | None, Exception | None]:
        try:
            return self._admission.decide(evidence), None
        except Exception as fault:
            return None, _told(fault, evidence)

    def _tell(
        self, evidence: Evidence, verdict: Verdict, decided: Admitted | None, error: Exception | None, as_of: int
    ) -> None:
        """Decide anew where a change has come to be known meanwhile: it found no session that it could end."""
        if decided is not None and as_of != self._admission.changes_seen:
            anew, error = self._decide(evidence)
            if isinstance(anew, Undecided):
                if self._tasks is not None:
                    self._wait(anew, verdict)
                    return
                anew, error = None, ShuttingDown("admissions are closed")
            decided = anew
        verdict(decided, error)

    def _wait(self, undecided: Undecided, verdict: Verdict) -> None:
        assert self._tasks is not None
        self._pending += 1
        self._tasks.create_task(self._conclude(undecided, verdict))

    async def _conclude(self, undecided: Undecided, verdict: Verdict) -> None:
        admitted: Admitted | None = None
        error: Exception | None = None
        try:
            admitted = await self._admission.conclude(undecided)
        except Exception as fault:
            error = _told(fault, undecided.evidence)
        finally:
            self._pending -= 1
        verdict(admitted, error)


def _told(fault: Exception, evidence: Evidence) -> Exception:
    """The error as a verdict bears it; what is no refusal is a defect, and logged."""
    if isinstance(fault, TuhonoError):
        return fault
    log.error("admission.failed", exc_info=fault, extra=fields(remote=str(evidence.peer.address)))
    return fault
