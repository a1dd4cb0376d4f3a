"""The operations on devices (hono-registry 1.3): from a request to the registry and back."""

from collections.abc import Sequence

from dialects.hono.connections import INCLUDE, wants_connection
from dialects.hono.conventions import (
    CHANGED,
    CREATED,
    DELETED,
    ETAG,
    IF_MATCH,
    changed,
    created,
    deed_of,
    etag,
    if_match,
    require_body,
)
from dialects.hono.shapes.connection import connection_view
from dialects.hono.shapes.device import DeviceBody, DeviceEntry, DeviceView, device_entry, device_of, device_view
from dialects.hono.shapes.search import PageBody, page_body, query_of, search_parameters
from dialects.hono.shapes.values import decode
from kernel.clock import Clock
from kernel.exchange import Answer, Exchange, Need, Reply, Route
from kernel.ids import generate_id
from registry.administration import DeviceAdministration
from registry.connection_states import Connections
from registry.model import DeviceStatus

_TAG = "devices"
_OF_TENANT = "/v1/devices/{tenantId}"
_OF_DEVICE = "/v1/devices/{tenantId}/{deviceId}"


class DeviceRoutes:
    """Creates, reads, replaces, finds and deletes devices."""

    def __init__(self, *, administration: DeviceAdministration, connections: Connections, clock: Clock) -> None:
        self._administration = administration
        self._connections = connections
        self._clock = clock

    def routes(self) -> Sequence[Route]:
        return (
            Route(
                method="POST",
                path=_OF_TENANT,
                handler=self.create,
                need=Need.WRITE,
                tag=_TAG,
                summary="Create a device under an id made for it",
                tenant_in="tenantId",
                body=DeviceBody,
                answers={201: CREATED},
                refusals=(413,),
            ),
            Route(
                method="GET",
                path=_OF_TENANT,
                handler=self.search,
                need=Need.READ,
                tag=_TAG,
                summary="Find devices",
                says="404 where nothing matches; a page behind the last one is empty.",
                tenant_in="tenantId",
                parameters=search_parameters(gateways=True),
                answers={200: Answer(says="A page of what was found.", type=PageBody[DeviceEntry])},
            ),
            Route(
                method="DELETE",
                path=_OF_TENANT,
                handler=self.delete_all,
                need=Need.WRITE,
                tag=_TAG,
                summary="Delete all devices of a tenant, with their credentials",
                says="Also where there are none.",
                tenant_in="tenantId",
                answers={204: DELETED},
            ),
            Route(
                method="POST",
                path=_OF_DEVICE,
                handler=self.create,
                need=Need.WRITE,
                tag=_TAG,
                summary="Create a device",
                tenant_in="tenantId",
                body=DeviceBody,
                answers={201: CREATED},
                refusals=(409, 413),
            ),
            Route(
                method="GET",
                path=_OF_DEVICE,
                handler=self.read,
                need=Need.READ,
                tag=_TAG,
                summary="Read a device",
                tenant_in="tenantId",
                parameters=(INCLUDE,),
                answers={200: Answer(says="The device.", type=DeviceView, headers=(ETAG,))},
            ),
            Route(
                method="PUT",
                path=_OF_DEVICE,
                handler=self.replace,
                need=Need.WRITE,
                tag=_TAG,
                summary="Replace a device",
                says="Members that are not sent are removed; the status is kept.",
                tenant_in="tenantId",
                parameters=(IF_MATCH,),
                body=DeviceBody,
                body_required=True,
                answers={204: CHANGED},
                refusals=(412, 413),
            ),
            Route(
                method="DELETE",
                path=_OF_DEVICE,
                handler=self.delete,
                need=Need.WRITE,
                tag=_TAG,
                summary="Delete a device, with its credentials",
                says="Also of a tenant that is gone.",
                tenant_in="tenantId",
                parameters=(IF_MATCH,),
                answers={204: DELETED},
                refusals=(412,),
            ),
        )

    def create(self, exchange: Exchange) -> Reply:
        tenant_id, device_id = exchange.path["tenantId"], exchange.path.get("deviceId") or generate_id()
        body = decode(DeviceBody, exchange.body) if exchange.body else DeviceBody()
        deed = deed_of(exchange, self._clock)
        wished = device_of(body, tenant_id, device_id, DeviceStatus(created=deed.moment))
        device = self._administration.create(wished, deed)
        return created("devices", tenant_id, device_id, version=device.version)

    def read(self, exchange: Exchange) -> Reply:
        asked = wants_connection(exchange)
        device = self._administration.get(exchange.path["tenantId"], exchange.path["deviceId"])
        view = device_view(device)
        if asked:
            view.status.connection = connection_view(self._connections.of_device(device))
        return Reply(body=view, headers=etag(device.version))

    def replace(self, exchange: Exchange) -> Reply:
        body = decode(DeviceBody, require_body(exchange))
        deed = deed_of(exchange, self._clock)
        status = DeviceStatus(created=deed.moment)
        device = device_of(body, exchange.path["tenantId"], exchange.path["deviceId"], status)
        return changed(self._administration.replace(device, deed, expected_version=if_match(exchange)))

    def delete(self, exchange: Exchange) -> Reply:
        self._administration.delete(
            exchange.path["tenantId"],
            exchange.path["deviceId"],
            deed_of(exchange, self._clock),
            expected_version=if_match(exchange),
        )
        return Reply(status=204)

    def delete_all(self, exchange: Exchange) -> Reply:
        self._administration.delete_all(exchange.path["tenantId"], deed_of(exchange, self._clock))
        return Reply(status=204)

    def search(self, exchange: Exchange) -> Reply:
        query = query_of(exchange, gateways=True)
        page = self._administration.search(exchange.path["tenantId"], query)
        return Reply(body=page_body(page, device_entry))
