"""The reference of every setting, rendered from the declarations themselves.

docs/reference/configuration.md is this text; a test keeps the two equal, `scripts/docs` writes it.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conf.loading import DATA_DIR_VARIABLE, ENVIRONMENT_PREFIX, variable
from conf.sections import DATA_DIR_DEFAULT, Settings, section_types
from conf.setting import Declared, declared_in
from conf.values import plain_number

_OPENING = f"""# Configuration

Every setting has a default, so a file is not needed to start. What is set comes, lowest first, from the
defaults, from the TOML file given with `--config`, and from the environment: a key of a section is
`{ENVIRONMENT_PREFIX}<SECTION>__<KEY>`, for example `{variable("mqtt", "port")}`. In the environment `true` and `false`
are the two truth values, and an empty text unsets what may be unset.

Relative paths count from the directory the program is started in. Keys, secrets and certificates are never
values, only paths of files. `tuhono check-config` names every fault of a file and of the environment at
once, each with its key and the rule it breaks; an unknown section, key or `{ENVIRONMENT_PREFIX}…__…`
variable is a fault.

This page is made from the settings' own declarations by `scripts/docs`.
"""


def describe() -> str:
    """Markdown: one table a section with key, default, allowed values and meaning."""
    return "\n".join([_OPENING, *_top_lines(), *(line for name in section_types() for line in _section_lines(name))])


def _top_lines() -> Iterator[str]:
    yield "## Above all sections\n"
    yield from _head()
    for declared in declared_in(Settings):
        default = f"`{DATA_DIR_DEFAULT}`"
        says = f"{declared.rule.says}; environment: `{DATA_DIR_VARIABLE}`, command line: `--data-dir`"
        yield f"| `{declared.name}` | {default} | path | {_cell(says)} |"
    yield ""


def _section_lines(name: str) -> Iterator[str]:
    kind = section_types()[name]
    yield f"## [{name}]\n"
    yield f"{_first_paragraph(kind)}\n"
    yield from _head()
    for declared in declared_in(kind):
        yield f"| `{declared.name}` | {_default(declared)} | {_allowed(declared)} | {_cell(declared.rule.says)} |"
    yield ""


def _head() -> tuple[str, str]:
    return "| key | default | allowed | meaning |", "| --- | --- | --- | --- |"


def _default(declared: Declared) -> str:
    value: Any = declared.default
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{plain_number(value)}`"
    return f"`{_cell(str(value))}`"


def _allowed(declared: Declared) -> str:
    rule = declared.rule
    if rule.choices:
        return ", ".join(f"`{choice}`" for choice in rule.choices)
    if declared.type is bool:
        return "`true`, `false`"
    if declared.is_pattern:
        return "regular expression"
    if declared.type in (str, Path):
        return "text" if declared.type is str else "path"
    called = "integer" if declared.type is int else "number"
    if rule.minimum is not None and rule.maximum is not None:
        return f"{called}, {plain_number(rule.minimum)} to {plain_number(rule.maximum)}"
    if rule.minimum is not None:
        return f"{called}, at least {plain_number(rule.minimum)}"
    return f"{called}, at most {plain_number(rule.maximum)}" if rule.maximum is not None else called


def _first_paragraph(kind: type) -> str:
    return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
