"""`tuhono login` and `tuhono logout`: which gateway this user's commands work on, and as whom.

What is kept works by itself: an API key as it was given, or, for a password, the token it was exchanged for; the
password is not kept.
"""

from __future__ import annotations

import base64
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from tuhono.cli.context import AsJson
from tuhono.cli.output import print_json, say

SECRET_LINE_MAX_CHARS = 4096


def login(
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="The management API: https://HOST[:PORT].", show_default=False)
    ],
    ca: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CA that the gateway is recognised by; default: those of the system."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Operator, with its password.")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
    ] = False,
    key_stdin: Annotated[
        bool, typer.Option("--key-stdin", help="Read an API key from the first line of standard input.")
    ] = False,
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Read an API key from a file, as admin-key of the data directory."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Log in to a gateway.

    Asks for what is missing on a terminal: with --name the password, else an API key. Kept in a file that only you
    read. A login with a password is over when its token is, after 15 minutes as a rule; one with an API key lasts.
    """
    from kernel.clock import SystemClock
    from tuhono.cli.profile import Profile, write_profile
    from tuhono.cli.remote import Remote, origin_of

    if sum((password_stdin, key_stdin, key_file is not None)) > 1:
        raise typer.BadParameter("--password-stdin, --key-stdin and --key-file exclude each other")
    if password_stdin and name is None:
        raise typer.BadParameter("--password-stdin wants --name")
    if (key_stdin or key_file is not None) and name is not None:
        raise typer.BadParameter("an API key says whose it is: leave --name out")
    origin = origin_of(url)
    ca_pem = None if ca is None else ca.read_text()
    gateway = Remote(origin, ca_pem=ca_pem)
    if key_file is not None:
        secret = key_file.read_text(errors="replace").strip()[:SECRET_LINE_MAX_CHARS]
    else:
        asks = not (password_stdin or key_stdin or as_json)
        secret = _secret("Password" if name is not None else "API key", asks=asks)
    expires = None
    if name is not None:
        now = SystemClock().now()
        basic = base64.b64encode(f"{name}:{secret}".encode(errors="replace")).decode()
        token = gateway.ask("POST", "/tuhono/v1/token", authorization=f"Basic {basic}")
        secret, expires = str(token["access_token"]), now + timedelta(seconds=int(token["expires_in"]))
    me = gateway.ask("GET", "/tuhono/v1/me", authorization=f"Bearer {secret}")
    profile = Profile(url=origin, operator=str(me["name"]), secret=secret, ca_pem=ca_pem, expires=expires)
    path = write_profile(profile)
    if as_json:
        print_json(
            {"url": origin, "operator": profile.operator, "role": me["role"], "file": str(path), "expires": expires}
        )
    else:
        say(f"logged in to {origin} as {profile.operator} ({me['role']})")


def logout(as_json: AsJson = False) -> None:
    """Forget the login.

    An API key stays good: revoke it where it is not wanted any more.
    """
    from tuhono.cli.profile import forget_profile

    was_there = forget_profile()
    if as_json:
        print_json({"forgotten": was_there})
    else:
        say("logged out" if was_there else "nobody was logged in")


def _secret(what: str, *, asks: bool) -> str:
    if asks and sys.stdin.isatty():
        return str(typer.prompt(what, hide_input=True))
    return sys.stdin.readline(SECRET_LINE_MAX_CHARS).strip("\r\n")
