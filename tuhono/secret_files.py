"""Files that hold a secret: readable by their owner alone from their first byte, whole or not there."""

import os
import secrets
from contextlib import suppress
from pathlib import Path


def write_secret(path: Path, text: str) -> None:
    """Put the file in place of whatever was there. Raises OSError."""
    made = _written_beside(path, text)
    try:
        os.replace(made, path)
    except BaseException:
        made.unlink(missing_ok=True)
        raise


def read_or_make(path: Path, text: str) -> str:
    """What the file holds; where there is none, it is made with this text. Processes that start together get one.

    Raises OSError.
    """
    with suppress(FileNotFoundError):
        return path.read_text()
    made = _written_beside(path, text)
    try:
        with suppress(FileExistsError):
            os.link(made, path)
    finally:
        made.unlink()
    return path.read_text()


def _written_beside(path: Path, text: str) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        made.unlink(missing_ok=True)
        raise
    return made
