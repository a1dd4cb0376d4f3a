"""Every `console` block of the reference and the how-tos is run on a gateway of the page's own: see CONTRIBUTING.md."""

import sys
from pathlib import Path

import pytest

from tests.support.command_line import clean_environment
from tests.support.examples import examples_in, run_examples
from tests.support.gateway import running_gateway
from tests.support.management import operator_of

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs/reference").glob("*.md"), *(ROOT / "docs/howto").glob("*.md")])
WITH_EXAMPLES = [page for page in PAGES if examples_in(page.read_text())]


@pytest.mark.needs_tool("curl")
@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_go_as_it_shows(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    with running_gateway(tmp_path) as gateway, operator_of(gateway) as operator:
        assert operator.authorization is not None
        environment = clean_environment(
            {
                "TUHONO_URL": f"https://localhost:{operator.port}",
                "TUHONO_HTTP": f"https://localhost:{gateway.ports['https']}",
                "TUHONO_KEY": operator.authorization.removeprefix("Bearer "),
                "TUHONO_CA": str(gateway.server_ca),
                "CURL_CA_BUNDLE": str(gateway.server_ca),
                "TUHONO_DATA_DIR": str(gateway.data_dir),
                "XDG_CONFIG_HOME": str(folder / "config"),
            }
        )
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        run_examples(examples_in(page.read_text()), folder, environment)
