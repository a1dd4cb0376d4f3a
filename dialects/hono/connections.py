"""Whether a device is connected: beyond Hono, asked for under a path of its own or with a device's document."""

from collections.abc import Sequence

from dialects.hono.asked import Asked
from dialects.hono.errors import QueryInvalid
from dialects.hono.shapes.connection import ConnectionView, connection_view
from kernel.exchange import Answer, Exchange, Need, Parameter, Reply, Route
from registry.connection_states import Connections

CONNECTION = "connection"
INCLUDE = Parameter(
    name="include",
    type=str,
    says=f"`{CONNECTION}`: tell in `status` whether the device is connected, too. Nothing else may be asked for.",
)


class ConnectionRoutes:
    """Tells of one device at a time."""

    def __init__(self, *, connections: Connections) -> None:
        self._connections = connections

    def routes(self) -> Sequence[Route]:
        return (
            Route(
                method="GET",
                path="/tuhono/v1/devices/{tenantId}/{deviceId}/connection",
                handler=self.read,
                need=Need.READ,
                tag="devices",
                summary="Tell whether a device is connected, and when it was last heard of",
                says="A second or so behind the truth; of a gateway that was killed, up to half a minute.",
                tenant_in="tenantId",
                answers={200: Answer(says="The device's connection.", type=ConnectionView)},
            ),
        )

    def read(self, exchange: Exchange) -> Reply:
        Asked(exchange, ())
        presence = self._connections.of(exchange.path["tenantId"], exchange.path["deviceId"])
        return Reply(body=connection_view(presence))


def wants_connection(exchange: Exchange) -> bool:
    """Whether a read of a device asks for its connection. Raises QueryInvalid where it asks for anything else."""
    wishes = exchange.query.get(INCLUDE.name, ())
    if any(wish != CONNECTION for wish in wishes):
        raise QueryInvalid(f"{INCLUDE.name}: may be {CONNECTION}")
    return bool(wishes)
