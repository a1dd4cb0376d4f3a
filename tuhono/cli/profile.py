"""The gateway this user has logged in to: its URL, its CA, and what proves the operator, in a file of the user's own.

`tuhono login` writes it, `tuhono logout` removes it, commands that work on a remote gateway read it.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tuhono.cli.errors import LoginExpired, LoginUnusable

FILE_MAX_BYTES = 262_144


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Where, and as whom."""

    url: str  # https://HOST[:PORT], no slash at its end
    operator: str
    secret: str = field(repr=False)  # an API key or a token: what follows `Authorization: Bearer`
    ca_pem: str | None = None  # None: the CAs of the system
    expires: datetime | None = None  # of a token


def profile_file() -> Path:
    """Below XDG_CONFIG_HOME, or ~/.config."""
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(configured) if configured.startswith("/") else Path.home() / ".config"
    return folder / "tuhono" / "login.json"


def read_profile(now: datetime) -> Profile | None:
    """None where nobody logged in. Raises LoginUnusable, LoginExpired, OSError."""
    path = profile_file()
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise LoginUnusable(f"{path} may be read by others: `chmod 600` it, or log in again")
            content = file.read(FILE_MAX_BYTES)
    except FileNotFoundError:
        return None
    try:
        profile = _profile_of(json.loads(content))
    except (ValueError, TypeError, KeyError) as fault:
        raise LoginUnusable(f"{path} is not what `tuhono login` wrote; log in again") from fault
    if profile.expires is not None and profile.expires <= now:
        raise LoginExpired(f"the login to {profile.url} as {profile.operator} is over; log in again")
    return profile


def write_profile(profile: Profile) -> Path:
    """In place of any other; readable by the user alone. Raises OSError."""
    from tuhono.secret_files import write_secret

    document = {
        "url": profile.url,
        "operator": profile.operator,
        "secret": profile.secret,
        "ca": profile.ca_pem,
        "expires": None if profile.expires is None else profile.expires.isoformat(),
    }
    path = profile_file()
    write_secret(path, json.dumps(document, indent=1) + "\n")
    return path


def forget_profile() -> bool:
    """Whether there was one. Raises OSError."""
    try:
        profile_file().unlink()
    except FileNotFoundError:
        return False
    return True


def _profile_of(document: dict[str, Any]) -> Profile:
    texts = (document["url"], document["operator"], document["secret"])
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("texts are wanted")
    expires = document.get("expires")
    return Profile(
        url=document["url"],
        operator=document["operator"],
        secret=document["secret"],
        ca_pem=document.get("ca"),
        expires=None if expires is None else datetime.fromisoformat(expires),
    )
