"""Runs a program nobody here wrote, to its end, and keeps what it said."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a program. Some lie in their status; then look at what they said."""

    status: int
    said: str  # stdout, then stderr
    out: bytes

    def __contains__(self, words: str) -> bool:
        return words in self.said


def run(*words: object, stdin: bytes = b"", within_s: float = 30.0) -> Ran:
    """Raises TimeoutExpired where it does not end by itself."""
    ran = subprocess.run([str(word) for word in words], input=stdin, capture_output=True, timeout=within_s, check=False)
    return Ran(ran.returncode, (ran.stdout + ran.stderr).decode(errors="replace"), ran.stdout)


def run_all(commands: Sequence[Sequence[object]], *, within_s: float = 30.0) -> list[Ran]:
    """All at once; their outcomes in the order of the commands."""
    started = [
        subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for words in commands
    ]
    ended = []
    try:
        for process in started:
            out, err = process.communicate(timeout=within_s)
            ended.append(Ran(process.returncode, (out + err).decode(errors="replace"), out))
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
                process.communicate()
    return ended
