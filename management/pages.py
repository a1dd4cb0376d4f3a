"""The API's description, and the page that shows it: files of Swagger UI, served from here and from nowhere else.

Open to everybody: they tell what is in the documentation. The page can do nothing by itself; a person gives it
credentials, which it forgets when it is closed. Its content security policy lets it load and ask this server alone.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from kernel.exchange import Answer, Exchange, Need, Reply, Route

TITLE = "Tuhono management API"
CACHED_S = 300

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # its own pictures are in its style sheet
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_INDEX = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{TITLE}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = """window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: false,
  defaultModelsExpandDepth: 0,
});
"""
_FILES = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "LICENSE": "text/plain; charset=utf-8",
}


def page_routes(description: dict[str, Any]) -> Sequence[Route]:
    """What serves the description of an API and the page about it."""
    document = msgspec.json.encode(description)
    return [
        _route("/openapi.json", lambda: document, "application/json; charset=utf-8"),
        _route("/docs", _INDEX.encode, "text/html; charset=utf-8"),
        _route("/docs/start.js", _START.encode, "text/javascript; charset=utf-8"),
        *(_route(f"/docs/{name}", partial(_file, name), content_type) for name, content_type in _FILES.items()),
    ]


def _route(path: str, content: Callable[[], bytes], content_type: str) -> Route:
    return Route(
        method="GET",
        path=path,
        handler=lambda exchange: _reply(exchange, content(), content_type),
        need=Need.NOTHING,
        tag="description",
        summary=path,
        answers={200: Answer(says="The page.", content_type=content_type.partition(";")[0])},
    )


def _reply(exchange: Exchange, content: bytes, content_type: str) -> Reply:
    headers = {
        "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
        "Cache-Control": f"public, max-age={CACHED_S}",
        "Content-Security-Policy": _POLICY,
        "Referrer-Policy": "no-referrer",
    }
    if exchange.headers.get("if-none-match") == headers["ETag"]:
        return Reply(status=304, headers=headers)
    return Reply(body=content, content_type=content_type, headers=headers)


@cache
def _file(name: str) -> bytes:
    """One of Swagger UI's own files; read when it is first asked for."""
    found = find_spec("swagger_ui")  # not imported: only its files are wanted
    assert found is not None and found.submodule_search_locations is not None, "a dependency"
    return (Path(found.submodule_search_locations[0]) / "static" / name).read_bytes()
