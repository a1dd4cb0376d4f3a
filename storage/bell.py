"""A few bytes beside the database that every administrative write changes: whoever maps them sees at once that there
is something to read, for 0.06 µs a look instead of the 2 to 5 µs that asking the database takes.

A hint and no more: what counts is in the database, and whoever misses the bell finds it there with the next look. Not
the database's own shared memory, which changes just so: to open that file and close it again takes away the locks that
SQLite holds on it in this process.
"""

import mmap
import os
from pathlib import Path
from typing import Any, Final

FILE_SUFFIX: Final = ".bell"
_BYTES: Final = 8


class ChangeBell:
    """One process's view of it. Any thread may ring."""

    def __init__(self, database: Path) -> None:
        """The file is made where there is none. Raises OSError."""
        descriptor = os.open(database.with_name(database.name + FILE_SUFFIX), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.truncate(descriptor, _BYTES)
            self._memory = mmap.mmap(descriptor, _BYTES)
        finally:
            os.close(descriptor)
        self.values: Any = memoryview(self._memory).cast("Q")  # its one item is another after each `ring`, of whomever

    def ring(self) -> None:
        """Tell everybody that something was committed. Random, so that two who ring at once change it all the same."""
        self.values[0] = int.from_bytes(os.urandom(_BYTES))
