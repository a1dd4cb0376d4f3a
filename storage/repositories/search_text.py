"""Patterns of a search, where * stands for any characters and ? for one, as databases want them."""

import json
import re

_WILDCARD = re.compile("[*?]")


def glob_of(pattern: str) -> str:
    """For SQLite's GLOB, where * and ? mean what they do here and [ would begin a set."""
    return pattern.replace("[", "[[]")


def like_of(pattern: str) -> str:
    """For LIKE with a backslash to escape."""
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")


def is_pattern(text: str) -> bool:
    return _WILDCARD.search(text) is not None


def longest_piece(pattern: str) -> str:
    """The longest text that the JSON of every text matching the pattern holds; may be empty."""
    runs = [json.dumps(run)[1:-1] for run in _WILDCARD.split(pattern)]
    runs[0], runs[-1] = '"' + runs[0], runs[-1] + '"'
    longest = max(runs, key=len)
    return longest if len(longest) > 1 else ""
