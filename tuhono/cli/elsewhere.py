"""Commands that work on the databases here or, with `--url`, on a gateway elsewhere through its management API.

`@anywhere` gives a command the options for that; `desk` (tuhono/cli/context.py) then opens what was asked for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

Command = TypeVar("Command", bound=Callable[..., Any])

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="TUHONO_URL",
        metavar="URL",
        help="Work on the gateway there, not on the databases here: https://HOST[:PORT].",
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key", envvar="TUHONO_KEY", metavar="KEY", help="API key for --url; default: that of `tuhono login`."
    ),
]
Ca = Annotated[
    Path | None,
    typer.Option(
        "--url-ca",
        envvar="TUHONO_CA",
        metavar="FILE",
        help="CA the gateway at --url is recognised by; default: that of `tuhono login`, or those of the system.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """A gateway, as the command line names it."""

    url: str
    key: str | None = field(default=None, repr=False)
    ca_file: Path | None = None


chosen: ContextVar[Elsewhere | None] = ContextVar("chosen", default=None)  # of the command that runs


def anywhere(command: Command) -> Command:
    """The command with --url, --key and --url-ca, which exclude --data-dir."""

    @wraps(command)
    def run(
        *words: Any, url: str | None = None, key: str | None = None, url_ca: Path | None = None, **rest: Any
    ) -> Any:
        if url is None and (key is not None or url_ca is not None):
            raise typer.BadParameter("--key and --url-ca go with --url")
        if url is not None and rest.get("data_dir") is not None:
            raise typer.BadParameter("--url is a gateway elsewhere, --data-dir the databases here: choose one")
        token = chosen.set(None if url is None else Elsewhere(url=url, key=key, ca_file=url_ca))
        try:
            return command(*words, **rest)
        finally:
            chosen.reset(token)

    taken = inspect.signature(command, eval_str=True)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in (("url", Url), ("key", Key), ("url_ca", Ca))
    ]
    run.__signature__ = taken.replace(parameters=[*taken.parameters.values(), *added])  # type: ignore[attr-defined]
    run.__annotations__ = {name: parameter.annotation for name, parameter in run.__signature__.parameters.items()}  # type: ignore[attr-defined]
    return run  # type: ignore[return-value]
