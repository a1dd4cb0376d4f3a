"""The operations on a device's credentials (hono-registry 1.4): from a request to the registry and back."""

from collections.abc import Sequence

from dialects.hono.conventions import CHANGED, ETAG, IF_MATCH, changed, deed_of, etag, if_match, require_body
from dialects.hono.shapes.credential_updates import updates_of
from dialects.hono.shapes.credentials import CredentialsBody, CredentialView, credential_view
from kernel.clock import Clock
from kernel.exchange import Answer, Exchange, Need, Reply, Route
from registry.administration import CredentialAdministration

_TAG = "credentials"
_OF_DEVICE = "/v1/credentials/{tenantId}/{deviceId}"


class CredentialRoutes:
    """Reads and replaces what a device proves itself with."""

    def __init__(self, *, administration: CredentialAdministration, clock: Clock) -> None:
        self._administration = administration
        self._clock = clock

    def routes(self) -> Sequence[Route]:
        return (
            Route(
                method="GET",
                path=_OF_DEVICE,
                handler=self.read,
                need=Need.READ,
                tag=_TAG,
                summary="Read the credentials of a device",
                says="Passwords, their hashes and pre-shared keys are never told.",
                tenant_in="tenantId",
                answers={200: Answer(says="The credentials.", type=list[CredentialView], headers=(ETAG,))},
            ),
            Route(
                method="PUT",
                path=_OF_DEVICE,
                handler=self.replace,
                need=Need.WRITE,
                tag=_TAG,
                summary="Replace the credentials of a device",
                says="What the body does not name is removed. A secret with the id of one on record, and without a"
                " password or key, keeps what is on record.",
                tenant_in="tenantId",
                parameters=(IF_MATCH,),
                body=CredentialsBody,
                body_required=True,
                answers={204: CHANGED},
                refusals=(409, 412, 413),
            ),
        )

    def read(self, exchange: Exchange) -> Reply:
        found = self._administration.get(exchange.path["tenantId"], exchange.path["deviceId"])
        return Reply(body=[credential_view(one) for one in found.credentials], headers=etag(found.version))

    def replace(self, exchange: Exchange) -> Reply:
        version = self._administration.replace(
            exchange.path["tenantId"],
            exchange.path["deviceId"],
            updates_of(require_body(exchange)),
            deed_of(exchange, self._clock),
            expected_version=if_match(exchange),
        )
        return changed(version)
