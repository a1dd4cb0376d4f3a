"""The page about the API works with what this server has: no other host, nothing inline, nothing made at run time."""

import re
from pathlib import Path

from conf.management import ManagementSettings
from management.pages import page_routes
from tests.support.served import serving


async def test_the_page_and_all_it_names_come_from_here(tmp_path: Path) -> None:
    async with serving(tmp_path, page_routes({"openapi": "3.1.0"})) as management:
        status, page, headers = await management.get("/docs")
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        named = [one for one in re.findall(r'(?:href|src)="([^"]+)"', page) if not one.startswith("data:")]
        assert len(named) == 3
        for name in [*named, "openapi.json", "docs/LICENSE"]:
            status, text, found = await management.get(f"/{name}")
            assert status == 200 and text, name
            assert found["Etag"] and found["Cache-Control"] == "public, max-age=300"
            again, text, _ = await management.get(f"/{name}", headers={"If-None-Match": found["Etag"]})
            assert (again, text) == (304, "")
        _, start, _ = await management.get("/docs/start.js")
        assert '"openapi.json"' in start and "http" not in start
        assert "http" not in page and "<script>" not in page and "style=" not in page


async def test_the_page_may_load_and_ask_this_server_alone(tmp_path: Path) -> None:
    async with serving(tmp_path, page_routes({})) as management:
        _, _, headers = await management.get("/docs")
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_the_files_of_swagger_ui_know_this_version_of_openapi_and_load_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path, page_routes({})) as management:
        _, script, _ = await management.get("/docs/swagger-ui-bundle.js")
        _, style, _ = await management.get("/docs/swagger-ui.css")
    assert "isOAS31" in script
    assert set(re.findall(r'url\("?([^")]{5})', style)) == {"data:"} and "@import" not in style


def test_the_api_is_not_on_the_plain_port_unless_that_is_asked_for() -> None:
    assert ManagementSettings().insecure_api is False
