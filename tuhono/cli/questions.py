"""Asking before something is deleted."""

import sys
from typing import Annotated

import typer

from tuhono.cli.errors import ConfirmationWanted
from tuhono.cli.output import shown

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def require_yes(question: str, *, yes: bool, as_json: bool) -> None:
    """Ask, unless told not to. Raises typer.Abort for a no, ConfirmationWanted where nobody can be asked."""
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise ConfirmationWanted("deleting asks first, and nobody is there to answer; --yes does not ask")
    typer.confirm(shown(question), abort=True)
