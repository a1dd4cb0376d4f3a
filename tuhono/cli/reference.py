"""The reference of every command, rendered from the commands themselves.

docs/reference/cli.md is this text; a test keeps the two equal, `scripts/docs` writes it.
"""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import typer.main

from tuhono.cli.main import app

SHARED = ("--config", "--data-dir", "--json")
_OPENING = """# Command line

`tuhono COMMAND --help` says the same as this page. `tuhono --version` prints the version;
`tuhono --install-completion` installs completion for the shell it is called from, `--show-completion` prints it.

Commands work on the databases of a data directory, whether a gateway is running on them or not. What they change is
in force in every running gateway at once.

## How a command ends

| exit status | meaning |
| --- | --- |
| 0 | done |
| 1 | understood, but not done: one sentence on standard error says what and why, with a [stable code](refusals.md) |
| 2 | the command or the configuration is wrong |
| 130 | somebody pressed Ctrl-C |

With `--json` a command prints one JSON object a line, and a fault is one, too, on standard error: `error` is its code
(`usage` where the command itself is wrong), `detail` the sentence, and a configuration's faults stand one by one in
`faults`. With `--json` nothing ever asks: to delete takes `--yes`.

## Options that many commands have

| | meaning |
| --- | --- |
| `--config FILE`, `-c FILE` | [Configuration file](configuration.md); also from `TUHONO_CONFIG` |
| `--data-dir DIR`, `-d DIR` | Where the databases are: `data` by default; also from `TUHONO_DATA_DIR` |
| `--json` | Print JSON, for scripts; faults too |

This page is made from the commands' own declarations by `scripts/docs`.
"""

_ENTRIES = """### What `tuhono tail --json` prints

One object a line, in the order of time. Every entry has

| member | meaning |
| --- | --- |
| `position` | a string, MESSAGE.REFUSAL; `--since` with it resumes behind this entry, missing and repeating nothing |
| `time` | ISO 8601 in UTC: when a message was received, or a refusal happened |
| `kind` | `telemetry`, `event`, `provisioning`, `command_response`, `refusal` or `notification` |
| `tenant`, `device` | their ids; null in a refusal where they are not known |

A position says how far its reader has come in both sources: to one that began elsewhere the same entry may bear
another. Of a message, the part before the dot is its own place in the log and never changes; of a refusal, the part
behind it is its own place in the audit.

A message has also

| member | meaning |
| --- | --- |
| `content_type` | as the device said, or the default |
| `payload` | in Base64; null where there was none |
| `qos` | 0 or 1, as the device sent it |
| `ttl_ms` | how long it is worth reading; null is for ever |
| `properties` | what else is known: `orig_adapter`, `orig_address`, properties the device sent, … |

A notification has also `notification`, the document it carries; one about a tenant has an empty `device`.

A refusal has also

| member | meaning |
| --- | --- |
| `code`, `detail` | why: a [stable code](refusals.md) and a sentence |
| `subject`, `issuer`, `serial`, `fingerprint` | of the certificate that was shown, as far as it could be read |
| `remote`, `adapter`, `sni` | where it came from, over which protocol, and the host name it asked for |
"""


def describe() -> str:
    """Markdown: a section a command, with its arguments and options."""
    return "\n".join([_OPENING, *_command_lines("tuhono", typer.main.get_command(app))]).rstrip() + "\n"


def _command_lines(path: str, command: Any) -> Iterator[str]:
    subcommands: Mapping[str, Any] = getattr(command, "commands", {})
    if not subcommands:
        yield from _section(path, command)
    for name, subcommand in subcommands.items():
        yield from _command_lines(f"{path} {name}", subcommand)


def _section(path: str, command: Any) -> Iterator[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    words = [one.metavar if one.required else f"[{one.metavar}]" for one in arguments]
    yield f"## {path}\n"
    yield "```"
    yield " ".join([path, "[OPTIONS]", *words])
    yield "```\n"
    for paragraph in command.help.split("\n\n"):
        yield textwrap.fill(" ".join(paragraph.split()), 116, break_on_hyphens=False) + "\n"
    own = [one for one in options if one.opts[0] not in SHARED]
    if arguments or own:
        yield "| | meaning | default |"
        yield "| --- | --- | --- |"
        for one in arguments:
            yield f"| `{one.metavar}` | {_cell(one.help)} | |"
        for one in own:
            yield f"| {_names(one)} | {_cell(one.help)} | {_default(one)} |"
        yield ""
    shared = ", ".join(f"`{one.opts[0]}`" for one in options if one.opts[0] in SHARED)
    yield f"{'Also ' if arguments or own else 'Takes '}{shared}.\n"
    if path == "tuhono tail":
        yield _ENTRIES


def _names(option: Any) -> str:
    names = [*option.opts, *option.secondary_opts]
    return ", ".join(f"`{name}`" if option.metavar is None else f"`{name} {_cell(option.metavar)}`" for name in names)


def _default(option: Any) -> str:
    value = option.default
    if value is None or value is False:
        return ""
    if option.secondary_opts:
        return f"`{option.opts[0] if value else option.secondary_opts[0]}`"
    return f"`{value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
