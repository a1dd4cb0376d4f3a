"""How a setting is declared: its default, one sentence for the operator, and the rule it must keep.

`conf.loading` reads the rule to report every fault of a file at once; the reference page of the
documentation is made from the same declarations. Sections built in code (tests) are not checked.
"""

from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, field, fields
from types import UnionType
from typing import Any, TypeVar, get_args, get_type_hints

T = TypeVar("T")
RULE = "tuhono.rule"
PATTERN_SUFFIX = "_pattern"  # a setting of this name is a regular expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a value must keep to, and the sentence that explains it."""

    says: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


def setting(
    default: T,
    says: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
) -> T:
    """A dataclass field with its rule attached. Numbers are bounded inclusively."""
    rule = Rule(says=says, minimum=minimum, maximum=maximum, choices=choices)
    made: Any = field(default=default, metadata={RULE: rule})
    return made  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A setting as its section declares it."""

    name: str
    type: type  # bool, int, float, str or Path
    optional: bool  # may be unset
    default: Any
    rule: Rule

    @property
    def is_pattern(self) -> bool:
        return self.name.endswith(PATTERN_SUFFIX)


def declared_in(section: type) -> Iterator[Declared]:
    """Every setting of a section, in the order of the file. Fields without a rule are no settings."""
    hints = get_type_hints(section)
    for each in fields(section):
        rule = each.metadata.get(RULE)
        if rule is not None:
            yield _declared(each, hints[each.name], rule)


def _declared(each: "Field[Any]", hint: Any, rule: Rule) -> Declared:
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    (kind,) = (one for one in kinds if one is not type(None))
    default = None if each.default is MISSING else each.default
    return Declared(name=each.name, type=kind, optional=type(None) in kinds, default=default, rule=rule)
