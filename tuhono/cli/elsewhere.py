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
    """The command with --url, --key and --url-ca, which exclude --data-dir.

    What stands on the command line goes before the environment, where a container always names its data directory.
    """

    @wraps(command)
    def run(
        context: typer.Context,
        *words: Any,
        url: str | None = None,
        key: str | None = None,
        url_ca: Path | None = None,
        **rest: Any,
    ) -> Any:
        typed = {name for name in context.params if _is_typed(context, name)}
        if url is None and typed & {"key", "url_ca"}:
            raise typer.BadParameter("--key and --url-ca go with --url")
        if {"url", "data_dir"} <= typed:
            raise typer.BadParameter("--url is a gateway elsewhere, --data-dir the databases here: choose one")
        if "data_dir" in typed:
            url = None
        elif url is not None:
            rest["data_dir"] = None
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
    asked = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    run.__signature__ = taken.replace(parameters=[asked, *taken.parameters.values(), *added])  # type: ignore[attr-defined]
    run.__annotations__ = {name: parameter.annotation for name, parameter in run.__signature__.parameters.items()}  # type: ignore[attr-defined]
    return run  # type: ignore[return-value]


def _is_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
