"""How a fault ends a command: one sentence on standard error, a stable code, and an exit status.

    1   the command was understood and could not be done
    2   the command, or the configuration, is wrong
    130 somebody pressed Ctrl-C

With --json the sentence is an object: `error` is the code, `detail` the sentence, and a configuration's
`faults` stand one by one. Errors that nobody raised on purpose are defects, and show their traceback.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from conf.errors import ConfigurationInvalid
from kernel.errors import TuhonoError
from tuhono.cli.output import as_json as rendered
from tuhono.cli.output import is_colourful, shown

REFUSED_STATUS = 1
USAGE_STATUS = 2
UsageFault: type[Any] = typer.BadParameter.__mro__[1]  # what the command-line parser raises; it has no public name


def ended(command: Callable[[], int | None], *, as_json: bool) -> int:
    """Run the command; the exit status. What it printed is flushed, so that a fault of that shows as well."""
    try:
        status = command()
        sys.stdout.flush()
        return status or 0
    except ConfigurationInvalid as fault:
        _tell_configuration(fault, as_json=as_json)
        return USAGE_STATUS
    except TuhonoError as fault:
        _tell(fault.code, str(fault), as_json=as_json)
    except typer.Abort:
        _tell("aborted", "nothing was done", as_json=as_json)
    except BrokenPipeError:
        pass  # whoever read along has read enough
    except OSError as fault:
        where = "" if fault.filename is None else f"{fault.filename}: "
        _tell("io-error", f"{where}{fault.strerror or fault}", as_json=as_json)
    except UsageFault as fault:
        _tell_usage(fault, as_json=as_json)
        return USAGE_STATUS
    try:
        sys.stdout.flush()
    except OSError:
        _forget_output()
    return REFUSED_STATUS


def _tell(code: str, sentence: str, *, as_json: bool) -> None:
    if as_json:
        _write(rendered({"error": code, "detail": sentence}))
    else:
        _write_red(f"error: {shown(sentence)} ({code})")


def _tell_configuration(fault: ConfigurationInvalid, *, as_json: bool) -> None:
    if as_json:
        faults = [{"key": one.key, "says": one.says, "source": one.source or None} for one in fault.faults]
        _write(rendered({"error": fault.code, "detail": str(fault), "faults": faults}))
        return
    for one in fault.faults:
        _write_red(shown(one))


def _tell_usage(fault: Any, *, as_json: bool) -> None:
    if as_json:
        _write(rendered({"error": "usage", "detail": fault.format_message()}))
    else:
        fault.show()


def _write_red(line: str) -> None:
    _write(f"\x1b[31m{line}\x1b[0m" if is_colourful(sys.stderr) else line)


def _write(line: str) -> None:
    sys.stderr.write(line + "\n")


def _forget_output() -> None:
    """What is still to be flushed goes nowhere, instead of failing again when the interpreter ends."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
