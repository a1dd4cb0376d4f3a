"""One attempt of a device to be let in and send one event, over any protocol, and how it ended.

    outcome = await attempt("mqtt-5", gateway, device)
    assert outcome == REFUSED_401["mqtt-5"]

The tables are hono-registry 4.7. Over CoAP whoever proves to be nobody fails in the handshake, and what is wrong
with a tenant, an adapter or a device is told.
"""

import ssl
from base64 import b64encode
from collections.abc import Mapping

from OpenSSL import SSL

from tests.support.certificates import Issued
from tests.support.gateway import RunningGateway
from tests.support.wire_clients import coap_device, http_device, mqtt_device

LOGIN_PROTOCOLS = ("http", "mqtt-3.1.1", "mqtt-5")
PROTOCOLS = ("http", "mqtt-3.1.1", "mqtt-5", "coap")
HANDSHAKE = "handshake"  # refused in it

Login = tuple[str, str]  # user name and password
Outcome = int | str
Outcomes = Mapping[str, Outcome]

ACCEPTED: Outcomes = {"http": 202, "mqtt-3.1.1": 0, "mqtt-5": 0, "coap": "2.04"}
CHAIN_REFUSED: Outcomes = {"http": 401, "mqtt-3.1.1": 4, "mqtt-5": 0x86, "coap": HANDSHAKE}
NO_CREDENTIALS: Outcomes = CHAIN_REFUSED
FORBIDDEN: Outcomes = {"http": 403, "mqtt-3.1.1": 5, "mqtt-5": 0x87, "coap": "4.03"}
DEVICE_DISABLED: Outcomes = {"http": 404, "mqtt-3.1.1": 5, "mqtt-5": 0x87, "coap": "4.04"}
MALFORMED: Outcomes = {"http": 400, "mqtt-3.1.1": 5, "mqtt-5": 0x87, "coap": HANDSHAKE}
CONFLICT: Outcomes = {"http": 409, "mqtt-3.1.1": 5, "mqtt-5": 0x87, "coap": "4.09"}
UNAVAILABLE: Outcomes = {"http": 503, "mqtt-3.1.1": 3, "mqtt-5": 0x88, "coap": "5.03"}
NO_HANDSHAKE: Outcomes = dict.fromkeys(PROTOCOLS, HANDSHAKE)


async def attempt(
    protocol: str,
    gateway: RunningGateway,
    device: Issued | None,
    *,
    server_name: str | None = None,
    login: Login | None = None,
) -> Outcome:
    """The status, return or reason code; HANDSHAKE where it ended there, told by an alert.

    `login` is a user name and password, for LOGIN_PROTOCOLS.
    """
    if protocol == "coap":
        return await _over_coap(gateway, device, server_name)
    try:
        if protocol == "http":
            return _over_http(gateway, device, server_name, login)
        return _over_mqtt(gateway, device, server_name, 5 if protocol == "mqtt-5" else 4, login)
    except ssl.SSLError:
        return HANDSHAKE


def basic(login: Login) -> str:
    """The value of an Authorization header."""
    return "Basic " + b64encode(":".join(login).encode()).decode()


def _over_http(gateway: RunningGateway, device: Issued | None, server_name: str | None, login: Login | None) -> int:
    headers = {} if login is None else {"Authorization": basic(login)}
    with http_device(gateway, device, server_name=server_name) as client:
        answer = client.post("/event", **headers)
        assert (answer.status == 401) is ("www-authenticate" in answer.headers), answer
        return answer.status


def _over_mqtt(
    gateway: RunningGateway, device: Issued | None, server_name: str | None, version: int, login: Login | None
) -> int:
    user_name, password = login or (None, None)
    with mqtt_device(gateway, device, server_name=server_name, version=version) as client:
        code = client.connect_code(user_name=user_name, password=password)
        if code == 0:
            client.publish("event", qos=1)
            assert client.acknowledged() == 1
        return code


async def _over_coap(gateway: RunningGateway, device: Issued | None, server_name: str | None) -> str:
    try:
        async with coap_device(gateway, device, server_name=server_name) as client:
            return (await client.ask(2, "/event", b"x")).spelled
    except SSL.Error:
        return HANDSHAKE
