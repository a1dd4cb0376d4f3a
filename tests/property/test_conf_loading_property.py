"""Whatever a file and an environment hold, the outcome is Settings or ConfigurationInvalid."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from conf.errors import FAULTS_MAX, ConfigurationInvalid
from conf.loading import settings_from, variable
from conf.sections import Settings, section_types
from conf.setting import declared_in

NAMES = [(section, one.name) for section, kind in section_types().items() for one in declared_in(kind)]
VARIABLES = [variable(section, key) for section, key in NAMES]

scalars = st.one_of(
    st.booleans().map(lambda value: str(value).lower()),
    st.integers().map(str),
    st.floats().map(lambda value: repr(value)),
    st.text(max_size=40).map(lambda text: _quoted(text)),
    st.sampled_from(["[]", "{}", "[1, [2]]", "2026-01-01", "07:32:00", "nan", "-inf", "0xffffffffffffffffffffff"]),
)
lines = st.one_of(
    st.sampled_from(NAMES).flatmap(lambda name: scalars.map(lambda value: f"[{name[0]}]\n{name[1]} = {value}")),
    st.tuples(st.text(max_size=12), scalars).map(lambda pair: f"{_quoted(pair[0])} = {pair[1]}"),
    st.text(max_size=30),
)
environments = st.dictionaries(
    st.one_of(st.sampled_from(VARIABLES), st.text(max_size=20).map(lambda text: "TUHONO_" + text)),
    st.one_of(st.text(max_size=30), st.integers().map(str), st.floats().map(str)),
    max_size=4,
)


def _quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(one):08x}" if not 0xD800 <= ord(one) < 0xE000 else "?" for one in text) + '"'


def outcome(content: bytes, environment: dict[str, str]) -> Any:
    try:
        return settings_from(content, environment)
    except ConfigurationInvalid as invalid:
        assert 0 < len(invalid.faults) <= FAULTS_MAX + 1
        assert all(line.isprintable() for line in map(str, invalid.faults))
        return None


@given(st.binary(max_size=200), environments)
def test_any_bytes_are_settings_or_faults(content: bytes, environment: dict[str, str]) -> None:
    assert isinstance(outcome(content, environment), Settings | None)


@given(st.lists(lines, max_size=5).map("\n".join), environments)
def test_anything_near_a_configuration_is_settings_or_faults(text: str, environment: dict[str, str]) -> None:
    assert isinstance(outcome(text.encode("utf-8", "surrogatepass"), environment), Settings | None)
