"""Waits for admission on behalf of connections: one task each, only while the verdict is out.

The tasks live in a TaskGroup that `run` owns. A connection that goes away meanwhile does not stop its
admission: a device half registered is worse than a verdict nobody waits for.
"""

import asyncio
import logging
from collections.abc import Callable

from adapters.admission.admission import Admission, Admitted
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

        Raises AdmissionsFull or ShuttingDown instead. No verdict comes where `run` is cancelled first.
        """
        if self._tasks is None:
            raise ShuttingDown("admissions are closed")
        if self._pending >= self._admissions_max:
            raise AdmissionsFull(f"{self._pending} devices are waiting to be admitted")
        self._pending += 1
        self._tasks.create_task(self._admit(evidence, verdict))

    async def _admit(self, evidence: Evidence, verdict: Verdict) -> None:
        admitted: Admitted | None = None
        error: Exception | None = None
        try:
            admitted = await self._admission.admit(evidence)
        except TuhonoError as refusal:
            error = refusal
        except Exception as defect:
            log.exception("admission.failed", extra=fields(remote=str(evidence.peer.address)))
            error = defect
        finally:
            self._pending -= 1
        verdict(admitted, error)
