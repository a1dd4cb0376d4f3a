"""From a request's target to decoded segments and query parameters.

Strict, and nothing is normalised: an encoded slash stays inside its segment, `.` and `..` are refused however they
are spelled, because a proxy or client in between may take them for steps up the path.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from management.errors import TargetMalformed

PARAMETERS_MAX = 64

_VISIBLE = re.compile(r"[!-~]+")
_ORIGIN_OF_ABSOLUTE = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a request is about."""

    segments: Sequence[str]  # what stands between the slashes; [""] for the root
    query: Mapping[str, Sequence[str]]  # each parameter's values in the order sent

    @property
    def path(self) -> str:
        return "/" + "/".join(self.segments)


def parse_target(target: str) -> Target:
    """Take the target of a request line apart, in origin or absolute form. Raises TargetMalformed."""
    if not _VISIBLE.fullmatch(target) or "#" in target:
        raise TargetMalformed("the request target holds what may not stand there")
    if not target.startswith("/"):
        target = _ORIGIN_OF_ABSOLUTE.sub("", target, count=1)
        if not target.startswith("/"):
            raise TargetMalformed("the request target is no path")
    path, _, query = target.partition("?")
    return Target(segments=[_segment(one) for one in path[1:].split("/")], query=_query(query))


def _segment(raw: str) -> str:
    segment = _decoded(raw, "path")
    if _CONTROL.search(segment):
        raise TargetMalformed("a segment of the path holds control characters")
    if segment in {".", ".."}:
        raise TargetMalformed("a segment of the path is . or .., which is no name")
    return segment


def _query(raw: str) -> Mapping[str, Sequence[str]]:
    """As forms are encoded: a plus sign is a space."""
    found: dict[str, list[str]] = {}
    pairs = [pair.partition("=") for pair in raw.split("&") if pair]
    if len(pairs) > PARAMETERS_MAX:
        raise TargetMalformed(f"the query has more than {PARAMETERS_MAX} parameters")
    for name, _, value in pairs:
        decoded = _decoded(value.replace("+", " "), "query")
        found.setdefault(_decoded(name.replace("+", " "), "query"), []).append(decoded)
    return found


def _decoded(raw: str, where: str) -> str:
    if _BROKEN_ESCAPE.search(raw):
        raise TargetMalformed(f"a percent sign in the {where} is not followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise TargetMalformed(f"the percent-encoded bytes of the {where} are no UTF-8") from None
