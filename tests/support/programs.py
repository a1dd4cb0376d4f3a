"""Runs a program nobody here wrote, to its end, and keeps what it said."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a program. Some lie in their status; then look at what they said."""

    status: int
    said: str  # stdout, then stderr
    out: bytes

    def __contains__(self, words: str) -> bool:
        return words in self.said


def run(
    *words: object, stdin: bytes = b"", within_s: float = 30.0, environment: Mapping[str, object] | None = None
) -> Ran:
    """Its input ends with `stdin`; `environment` is added to ours. Raises TimeoutExpired where it does not end."""
    ran = subprocess.run(
        [str(word) for word in words],
        input=stdin,
        capture_output=True,
        timeout=within_s,
        check=False,
        env={**os.environ, **{name: str(value) for name, value in (environment or {}).items()}},
    )
    return Ran(ran.returncode, (ran.stdout + ran.stderr).decode(errors="replace"), ran.stdout)
