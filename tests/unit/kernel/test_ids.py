"""Which strings may be an id."""

import uuid

import pytest

from kernel.ids import DEVICE_ID_PATTERN, ID_MAX_CHARS, TENANT_ID_PATTERN, IdRule, generate_id


def test_a_generated_id_is_a_random_uuid() -> None:
    first, second = generate_id(), generate_id()
    assert first != second
    assert uuid.UUID(first).version == 4
    assert IdRule(DEVICE_ID_PATTERN).allows(first)


@pytest.mark.parametrize("candidate", ["a", "A-b_c.9", "...", "x" * ID_MAX_CHARS])
def test_letters_digits_and_a_few_marks_make_a_tenant_id(candidate: str) -> None:
    assert IdRule(TENANT_ID_PATTERN).allows(candidate)


@pytest.mark.parametrize(
    "candidate",
    [
        "",
        ".",
        "..",
        "a b",
        "a/b",
        "a\n",
        "\n",
        "a\0",
        "é",
        "a+",
        "#",
        "x" * (ID_MAX_CHARS + 1),
        "a:b",
        "{{subject-cn}}",
    ],
)
def test_nothing_else_does(candidate: str) -> None:
    assert not IdRule(TENANT_ID_PATTERN).allows(candidate)


def test_a_device_id_may_hold_a_colon_and_an_equals_sign() -> None:
    assert IdRule(DEVICE_ID_PATTERN).allows("test:4711=x")


def test_dot_segments_are_refused_whatever_the_pattern_says() -> None:
    anything = IdRule(".*", max_chars=2)
    assert anything.allows("a.")
    assert not anything.allows(".")
    assert not anything.allows("..")
    assert not anything.allows("abc")
