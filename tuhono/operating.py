"""What operators talk to, built over the domain: the routes of every dialect, who may use them, and the listener."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec

from conf.registry import RegistrySettings
from conf.sections import Settings
from conf.tenant import TenantSettings
from dialects.hono.bulk import BulkRoutes
from dialects.hono.connections import ConnectionRoutes
from dialects.hono.credentials import CredentialRoutes
from dialects.hono.devices import DeviceRoutes
from dialects.hono.registrations import RegistrationRoutes
from dialects.hono.tenants import TenantRoutes
from kernel.clock import Clock
from kernel.exchange import Route
from kernel.ids import ID_MAX_CHARS, IdRule
from kernel.meters import Meters
from management.api import ManagementApi
from management.audit import AuditRoutes
from management.cors import Cors
from management.health import HealthChecks
from management.openapi import describe
from management.operators import OperatorRoutes
from management.pages import page_routes
from management.server import ManagementServer
from management.token import TokenRoutes
from management.workers import Workers
from registry.administration import CredentialAdministration, DeviceAdministration
from registry.bulk import BulkAdministration
from registry.connection_states import Connections
from registry.ports import AuditRepository
from storage.open import Store
from tenant.administration import TenantAdministration
from tenant.operator_administration import OperatorAdministration
from tenant.tokens import Tokens
from tuhono.operators import Operators, build_operators


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the routes call."""

    clock: Clock
    tenants: TenantAdministration
    devices: DeviceAdministration
    credentials: CredentialAdministration
    bulk: BulkAdministration
    connections: Connections
    operators: OperatorAdministration
    tokens: Tokens
    audit: AuditRepository


def build_management(
    settings: Settings, store: Store, clock: Clock, *, files: tuple[Path, Path], meters: Meters, health: HealthChecks
) -> ManagementServer:
    """The management listener with everything it serves. `files` are its certificate and key."""
    section = settings.management
    operators = build_operators(settings, store, clock)
    routes = operator_routes(operator_services(settings, store, clock, operators))
    description = describe(routes, segments=segment_schemas(settings.tenant, settings.registry))
    api = ManagementApi(
        routes=[*routes, *page_routes(description)],
        authenticator=operators.authenticator,
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


def operator_services(settings: Settings, store: Store, clock: Clock, operators: Operators) -> Services:
    tenant_ids = IdRule(settings.tenant.id_pattern)
    devices = DeviceAdministration(
        devices=store.devices, tenants=store.tenants, settings=settings.registry, tenant_ids=tenant_ids
    )
    return Services(
        clock=clock,
        tenants=TenantAdministration(tenants=store.tenants, settings=settings.tenant),
        devices=devices,
        credentials=CredentialAdministration(
            devices=store.devices, tenants=store.tenants, settings=settings.registry, tenant_ids=tenant_ids
        ),
        bulk=BulkAdministration(devices=store.devices, tenants=store.tenants),
        connections=Connections(devices=devices, record=store.presence, clock=clock),
        operators=operators.administration,
        tokens=operators.tokens,
        audit=store.audit,
    )


def operator_routes(services: Services) -> Sequence[Route]:
    """The routes of every dialect."""
    clock = services.clock
    return [
        *TenantRoutes(administration=services.tenants, clock=clock).routes(),
        *DeviceRoutes(administration=services.devices, connections=services.connections, clock=clock).routes(),
        *ConnectionRoutes(connections=services.connections).routes(),
        *CredentialRoutes(administration=services.credentials, clock=clock).routes(),
        *RegistrationRoutes(
            tenants=services.tenants, devices=services.devices, credentials=services.credentials, clock=clock
        ).routes(),
        *BulkRoutes(bulk=services.bulk, devices=services.devices, clock=clock).routes(),
        *TokenRoutes(services.tokens).routes(),
        *OperatorRoutes(services.operators).routes(),
        *AuditRoutes(services.audit).routes(),
    ]


def segment_schemas(tenant: TenantSettings, registry: RegistrySettings) -> Mapping[str, Mapping[str, Any]]:
    """What the named segments of paths may be."""
    return {
        "tenantId": {"pattern": f"^(?:{tenant.id_pattern})$", "maxLength": ID_MAX_CHARS},
        "deviceId": {"pattern": f"^(?:{registry.device_id_pattern})$", "maxLength": ID_MAX_CHARS},
    }


def describe_api() -> str:
    """The description of the API as it is with the settings' defaults: docs/reference/openapi.json."""
    services = cast("Services", _Nothing())  # handlers are named, not called
    document = describe(operator_routes(services), segments=segment_schemas(TenantSettings(), RegistrySettings()))
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"


class _Nothing:
    def __getattr__(self, name: str) -> None:
        return None
