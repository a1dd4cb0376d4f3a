"""Which connection holds a client identifier, so that the same device coming again ends the older one.

A client identifier counts for its device only: names of different devices cannot disturb each other. At
most one entry a connection. [MQTT-3.1.4-3]
"""

from typing import Generic, TypeVar

from kernel.ids import DeviceId, TenantId

Holder = TypeVar("Holder")
HolderKey = tuple[TenantId, DeviceId, str]


class Holders(Generic[Holder]):
    """From (tenant, device, client identifier) to the connection that has it now."""

    def __init__(self) -> None:
        self._held: dict[HolderKey, Holder] = {}

    def take(self, key: HolderKey, holder: Holder) -> Holder | None:
        """The key is this holder's from now on; returns the one it is taken from."""
        older = self._held.get(key)
        self._held[key] = holder
        return older

    def release(self, key: HolderKey, holder: Holder) -> None:
        """Does nothing where another has taken the key meanwhile."""
        if self._held.get(key) is holder:
            del self._held[key]
