"""A page that shows something else than what a command prints is found out."""

from pathlib import Path

import pytest

from tests.support.examples import agrees, examples_in, run_examples

PAGE = """Text
```console
$ one \\
    --more
{"a": 1}
200
$ two
```
```sh
$ not run
```
```console fails
$ three
…
```
"""


def test_commands_and_what_they_print_are_taken_from_the_page() -> None:
    first, second, third = examples_in(PAGE)
    assert (first.command, first.shown, first.may_fail) == ("one \\\n    --more", '{"a": 1}\n200', False)
    assert (second.command, second.shown) == ("two", "")
    assert (third.command, third.shown, third.may_fail) == ("three", "…", True)


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("", ""),
        ("200", "200"),
        ("a … c", "a b c"),
        ("…", "a\nb\nc"),
        ("…", ""),
        ("a\n…\nd", "a\nb\nc\nd"),
        ('{"a": 1, "b": "…"}', '{"b":"x","a":1}'),
        ('{"b": "…"}', '{"b":[1,2]}'),
        ('{\n  "a": [\n    1\n  ]\n}\n201', '{"a":[1]}\n201'),
        ('{"id": "t-…"}\n201', '{"id":"t-1"}\n201'),
        ("HTTP/1.1 201 Created\n…\nETag: …\n…", "HTTP/1.1 201 Created\r\nServer: x\r\nETag: 1\r\n\r\n"),
    ],
)
def test_what_agrees(shown: str, said: str) -> None:
    assert agrees(shown, said)


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("", "x"),
        ("200", ""),
        ("200", "201"),
        ("200", "200\n201"),
        ('{"a": 1}', '{"a": 1, "b": 2}'),
        ('{"a": 1}', '{"a": true}'),
        ('{"a": [1]}', '{"a": [1, 2]}'),
        ("a.c", "abc"),
        ("a\n…\nd", "a\nb"),
    ],
)
def test_what_does_not_agree(shown: str, said: str) -> None:
    assert not agrees(shown, said)


def test_examples_run_in_one_shell_and_a_failure_is_told(tmp_path: Path) -> None:
    page = "```console\n$ A=7\n$ echo $A$B\n76\n$ ls nothing 2>/dev/null || echo none\nnone\n```\n"
    run_examples(examples_in(page), tmp_path, {"B": "6", "PATH": "/usr/bin:/bin"})
    with pytest.raises(AssertionError, match="ended with 3"):
        run_examples(examples_in("```console\n$ (exit 3)\n```\n"), tmp_path, {"PATH": "/usr/bin:/bin"})
    run_examples(examples_in("```console fails\n$ (exit 3)\n```\n"), tmp_path, {"PATH": "/usr/bin:/bin"})
