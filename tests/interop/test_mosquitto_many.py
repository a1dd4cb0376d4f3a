"""mosquitto_pub with more lines than one connection may have under way, gone once the last is sent."""

import pytest

from tests.support.programs import run
from tests.support.site import Site

pytestmark = pytest.mark.needs_tool("mosquitto_pub")


@pytest.mark.parametrize("count", [1000, 3000])
@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_every_line_is_kept_in_order_though_the_client_does_not_wait(
    site: Site, version: str, qos: int, count: int
) -> None:
    lines = [b"%d" % number for number in range(count)]
    words = [*site.gateway.mosquitto(site.files()), "-V", version, "-q", qos, "-t", "telemetry", "-l"]
    ran = run("mosquitto_pub", *words, stdin=b"\n".join(lines) + b"\n")
    assert ran.status == 0, ran.said
    assert [message.payload for message in site.wait_for_messages(count)] == lines
