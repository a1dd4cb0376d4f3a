"""Every setting is declared so that an operator can read it, and its default keeps its own rule."""

from typing import Any

import pytest

from conf.describing import describe
from conf.loading import variable
from conf.sections import section_types
from conf.setting import Declared, declared_in
from conf.values import from_toml

SETTINGS = [(section, one) for section, kind in section_types().items() for one in declared_in(kind)]


@pytest.mark.parametrize(("section", "declared"), SETTINGS, ids=lambda one: getattr(one, "name", one))
def test_a_default_keeps_the_rule_of_its_own_setting(section: str, declared: Declared) -> None:
    value: Any = declared.default
    if value is None:
        assert declared.optional
    else:
        assert from_toml(value if not hasattr(value, "parts") else str(value), declared) == value


def test_every_field_of_every_section_has_a_rule_and_a_sentence() -> None:
    for section, kind in section_types().items():
        declared = {one.name: one for one in declared_in(kind)}
        assert set(declared) == set(kind.__dataclass_fields__), section
        assert all(one.rule.says for one in declared.values())


def test_the_reference_names_every_setting_with_default_and_meaning() -> None:
    reference = describe()
    for section, declared in SETTINGS:
        assert f"## [{section}]" in reference
        assert f"| `{declared.name}` | " in reference
        assert declared.rule.says.replace("|", "\\|") in reference


def test_no_two_settings_share_a_variable() -> None:
    names = [variable(section, declared.name) for section, declared in SETTINGS]
    assert len(names) == len(set(names))
