"""What operators talk to, built over the domain: the routes of every dialect, who may use them, and the listener."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from conf.sections import Settings
from kernel.clock import Clock
from kernel.errors import Unauthenticated
from kernel.exchange import Caller, Route
from kernel.meters import Meters
from management.api import ManagementApi
from management.cors import Cors
from management.health import HealthChecks
from management.ports import Authenticator
from management.server import ManagementServer
from management.workers import Workers
from storage.open import Store


def build_management(
    settings: Settings, store: Store, clock: Clock, *, files: tuple[Path, Path], meters: Meters, health: HealthChecks
) -> ManagementServer:
    """The management listener with everything it serves. `files` are its certificate and key."""
    section = settings.management
    api = ManagementApi(
        routes=operator_routes(settings, store, clock),
        authenticator=operator_authenticator(settings, store, clock),
        workers=Workers(threads_max=section.threads_max),
        cors=Cors(section.cors_allowed_origin),
        clock=clock,
        realm=section.realm,
        body_max_bytes=section.body_max_bytes,
    )
    certificate_file, key_file = files
    return ManagementServer(
        settings=section,
        certificate_file=certificate_file,
        key_file=key_file,
        api=api,
        meters=meters,
        health=health,
    )


def operator_routes(settings: Settings, store: Store, clock: Clock) -> Sequence[Route]:
    """The routes of every dialect; each dialect adds its own here."""
    return []


def operator_authenticator(settings: Settings, store: Store, clock: Clock) -> Authenticator:
    """Who proves callers. Until there are operators, nobody does."""
    return _NobodyKnown()


class _NobodyKnown:
    async def authenticate(self, headers: Mapping[str, str], remote: str) -> Caller:
        raise Unauthenticated("there are no operators")
