"""All sections together: what one configuration file says."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from conf.coap import CoapSettings
from conf.edge import EdgeSettings
from conf.http import HttpSettings
from conf.management import LifecycleSettings, LogSettings, ManagementSettings
from conf.messaging import MessagingSettings
from conf.mqtt import MqttSettings
from conf.operators import OperatorSettings
from conf.pki import PkiSettings
from conf.registry import RegistrySettings
from conf.setting import RULE, Rule
from conf.storage import StorageSettings
from conf.tenant import TenantSettings

DATA_DIR_DEFAULT = Path("data")  # beside where the program is started: right for development, named in --help


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the process is told at start. Each room receives its own section only."""

    data_dir: Path = field(
        metadata={RULE: Rule(says="directory that holds everything the process keeps; made if absent")}
    )
    edge: EdgeSettings = field(default_factory=EdgeSettings)
    mqtt: MqttSettings = field(default_factory=MqttSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    coap: CoapSettings = field(default_factory=CoapSettings)
    tenant: TenantSettings = field(default_factory=TenantSettings)
    registry: RegistrySettings = field(default_factory=RegistrySettings)
    pki: PkiSettings = field(default_factory=PkiSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    messaging: MessagingSettings = field(default_factory=MessagingSettings)
    management: ManagementSettings = field(default_factory=ManagementSettings)
    operators: OperatorSettings = field(default_factory=OperatorSettings)
    log: LogSettings = field(default_factory=LogSettings)
    lifecycle: LifecycleSettings = field(default_factory=LifecycleSettings)


def section_types() -> dict[str, type[Any]]:
    """Each section's name in file and environment, with the class that declares its settings."""
    factories = [(each.name, each.default_factory) for each in fields(Settings)]
    return {name: cast("type[Any]", factory) for name, factory in factories if isinstance(factory, type)}
