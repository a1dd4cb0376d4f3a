"""What a device may say of itself, whoever writes it down (hono-registry 2.2)."""

import json

from registry.errors import DeviceInvalid
from registry.model import Device

VIA_MAX = 100  # gateways a device names
GROUPS_MAX = 100  # groups a device is reached through, or a gateway is a member of
AUTHORITIES_MAX = 16
DEFAULTS_MAX_BYTES = 4096  # they are put into every message of the device
EXT_MAX_BYTES = 32_768
ENDPOINT_PROPERTIES_MAX_BYTES = 4096


def require_valid(device: Device) -> None:
    """Raises DeviceInvalid, which names the member and the rule."""
    for name, reached in (("via", device.via), ("viaGroups", device.via_groups)):
        if reached and device.member_of:
            raise DeviceInvalid(f"{name}: must be empty where memberOf is not: a gateway has no gateway")
    for name, listed, most in (
        ("via", device.via, VIA_MAX),
        ("viaGroups", device.via_groups, GROUPS_MAX),
        ("memberOf", device.member_of, GROUPS_MAX),
        ("authorities", device.authorities, AUTHORITIES_MAX),
    ):
        if len(listed) > most:
            raise DeviceInvalid(f"{name}: must have at most {most} entries")
    endpoint = device.command_endpoint
    for name, members, most in (
        ("defaults", device.defaults, DEFAULTS_MAX_BYTES),
        ("ext", device.ext, EXT_MAX_BYTES),
        (
            "command-endpoint.payload-properties",
            {} if endpoint is None else endpoint.payload_properties,
            ENDPOINT_PROPERTIES_MAX_BYTES,
        ),
    ):
        if len(json.dumps(members, ensure_ascii=False).encode()) > most:
            raise DeviceInvalid(f"{name}: must have at most {most} bytes as JSON")
