"""What pages of other origins may do: hono-registry 1.1.1.

A pre-flight needs no credentials, because browsers send none with it. Answers never allow a browser to send what it
holds by itself (cookies, remembered passwords): a page has to know the credentials it uses.
"""

from collections.abc import Collection, Mapping

REQUEST_HEADERS = "content-type,authorization,if-match"
ANSWER_HEADERS = "etag"
PREFLIGHT_MAX_AGE_S = 600
ANY_ORIGIN = "*"


class Cors:
    """Headers for one allowed origin, or for any."""

    def __init__(self, allowed_origin: str) -> None:
        self._always = {"Access-Control-Allow-Origin": allowed_origin, "Access-Control-Expose-Headers": ANSWER_HEADERS}
        if allowed_origin != ANY_ORIGIN:
            self._always["Vary"] = "Origin"

    def answer(self) -> Mapping[str, str]:
        """What goes with the answer to a page's request."""
        return self._always

    def preflight(self, methods: Collection[str]) -> Mapping[str, str]:
        """What goes with the answer to a pre-flight for a path of those methods."""
        return {
            **self._always,
            "Access-Control-Allow-Methods": ",".join(methods),
            "Access-Control-Allow-Headers": REQUEST_HEADERS,
            "Access-Control-Max-Age": str(PREFLIGHT_MAX_AGE_S),
        }


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers
