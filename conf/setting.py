"""How a setting is declared: its default, one sentence for the operator, and the rule it must keep.

`conf.loading` reads the rule to report every fault of a file at once; the reference page of the
documentation is made from the same declarations. Sections built in code (tests) are not checked.
"""

from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
RULE = "tuhono.rule"


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
