"""The rules one tenant can be judged by (hono-registry 2.1). Uniqueness across tenants is the repository's.

A refusal names the member as a path into the tenant's JSON, and the rule. Bounds are of what is kept in memory for
every tenant: the text of defaults is part of every message's envelope, and each anchor is tried for a chain.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from kernel.ids import AUTH_ID_MAX_CHARS
from pki.errors import TemplateInvalid
from pki.templates import Template
from tenant.errors import TenantInvalid
from tenant.model import (
    AdapterSettings,
    DeviceTemplate,
    Period,
    RegistrationLimits,
    ResourceLimits,
    RevocationCheck,
    Tenant,
    Tracing,
    TrustAnchor,
)

ALIAS_PATTERN: Final = "[a-z0-9-]+"
ALIAS_MAX_CHARS: Final = 63  # a host label
NAME_MAX_CHARS: Final = 256  # of anchor ids, groups, adapter types and ids of devices
SUBJECT_MAX_CHARS: Final = 4096
URI_MAX_CHARS: Final = 2048
ANCHORS_MAX: Final = 100  # of one tenant: each is tried when a chain is judged
ADAPTERS_MAX: Final = 32
TRACED_MAX: Final = 256
LINKS_MAX: Final = 100  # gateways or groups of a device template
DEFAULTS_MAX_BYTES: Final = 4096  # as JSON in UTF-8
EXT_MAX_BYTES: Final = 32_768
INNER_EXT_MAX_BYTES: Final = 4096  # of an adapter, of the limits, of a device template
NUMBER_MAX: Final = 2**31 - 1
BYTES_MAX: Final = 2**63 - 1
PROVISIONING_PER_S_MAX: Final = 1e9
PERIOD_MODES: Final = ("monthly", "days", "unknown")
SAMPLING_MODES: Final = ("default", "all", "none")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ALIAS = re.compile(ALIAS_PATTERN)
_URI = re.compile(r"https?://[^\s\x00-\x1f\x7f-\x9f]+")

Json = Mapping[str, Any]


def check_tenant(tenant: Tenant) -> None:
    """Raises TenantInvalid or TemplateInvalid."""
    if tenant.alias is not None:
        _require(
            len(tenant.alias) <= ALIAS_MAX_CHARS and _ALIAS.fullmatch(tenant.alias) is not None,
            "alias",
            f"must be a host label of at most {ALIAS_MAX_CHARS} of a-z, 0-9 and '-'",
        )
    if tenant.trust_anchor_group is not None:
        _check_name("trust-anchor-group", tenant.trust_anchor_group)
    _check_bytes("defaults", tenant.defaults, DEFAULTS_MAX_BYTES)
    _check_bytes("ext", tenant.ext, EXT_MAX_BYTES)
    _check_number("minimum-message-size", tenant.minimum_message_size, least=0)
    if tenant.adapters is not None:
        _check_adapters(tenant.adapters)
    if tenant.resource_limits is not None:
        _check_limits(tenant.resource_limits)
    if tenant.registration_limits is not None:
        _check_registration(tenant.registration_limits)
    if tenant.tracing is not None:
        _check_tracing(tenant.tracing)
    _check_anchors(tenant.trust_anchors)


def check_anchor(anchor: TrustAnchor, member: str = "") -> None:
    """What one trust anchor can be judged by; `member` is where it stands. Raises TenantInvalid, TemplateInvalid."""
    at = f"{member}." if member else ""
    authority = anchor.authority
    _check_name(f"{at}id", anchor.anchor_id)
    _require(
        0 < len(authority.subject_dn) <= SUBJECT_MAX_CHARS,
        f"{at}subject-dn",
        f"must be a name of at most {SUBJECT_MAX_CHARS} characters that is not empty",
    )
    _require(authority.not_before <= authority.not_after, f"{at}not-before", "must not be later than not-after")
    _check_template(f"{at}auth-id-template", anchor.auth_id_template)
    _check_template(f"{at}auto-provisioning-device-id-template", anchor.device_id_template)
    rate = anchor.provisioning_per_s_max
    _require(
        rate is None or 0 <= rate < PROVISIONING_PER_S_MAX,
        f"{at}provisioning-rate-max",
        "must be a number of devices a second, 0 or more",
    )
    if anchor.revocation is not None:
        _check_revocation(at, anchor.revocation)
    if anchor.device_template is not None:
        _check_device_template(f"{at}device-template", anchor.device_template)


def _check_anchors(anchors: Sequence[TrustAnchor]) -> None:
    _require(len(anchors) <= ANCHORS_MAX, "trusted-ca", f"must have at most {ANCHORS_MAX} entries")
    _check_unique("trusted-ca", "id", [anchor.anchor_id for anchor in anchors])
    for place, anchor in enumerate(anchors):
        check_anchor(anchor, f"trusted-ca[{place}]")


def _check_template(member: str, template: str | None) -> None:
    if template is None:
        return
    try:
        Template.parse(template)
    except TemplateInvalid as fault:
        raise TemplateInvalid(f"{member}: {fault}") from fault


def _check_revocation(at: str, check: RevocationCheck) -> None:
    _require(
        not check.enabled or check.responder_certificate_der is not None,
        f"{at}ocsp-revocation-enabled",
        "needs cert or ocsp-responder-cert",
    )
    uri = check.responder_uri
    _require(
        uri is None or (len(uri) <= URI_MAX_CHARS and _URI.fullmatch(uri) is not None),
        f"{at}ocsp-responder-uri",
        f"must be an http:// or https:// URI of at most {URI_MAX_CHARS} characters",
    )


def _check_device_template(member: str, template: DeviceTemplate) -> None:
    _check_bytes(f"{member}.defaults", template.defaults, DEFAULTS_MAX_BYTES)
    _check_bytes(f"{member}.ext", template.ext, INNER_EXT_MAX_BYTES)
    _require(not (template.via and template.member_of), f"{member}.memberOf", "must not be set together with via")
    links = {"via": template.via, "viaGroups": template.via_groups, "memberOf": template.member_of}
    for name, entries in links.items():
        _require(len(entries) <= LINKS_MAX, f"{member}.{name}", f"must have at most {LINKS_MAX} entries")
        for place, entry in enumerate(entries):
            _check_name(f"{member}.{name}[{place}]", entry)
            _require(entry not in entries[:place], f"{member}.{name}[{place}]", "is there twice")


def _check_adapters(adapters: Sequence[AdapterSettings]) -> None:
    _require(
        0 < len(adapters) <= ADAPTERS_MAX, "adapters", f"must have 1 to {ADAPTERS_MAX} entries, or be left out for all"
    )
    _check_unique("adapters", "type", [adapter.type for adapter in adapters])
    for place, adapter in enumerate(adapters):
        _check_name(f"adapters[{place}].type", adapter.type)
        _check_bytes(f"adapters[{place}].ext", adapter.ext, INNER_EXT_MAX_BYTES)


def _check_limits(limits: ResourceLimits) -> None:
    at = "resource-limits"
    _check_number(f"{at}.max-connections", limits.max_connections)
    _check_number(f"{at}.max-ttl", limits.max_ttl_s, most=BYTES_MAX)
    _check_number(f"{at}.max-ttl-telemetry-qos0", limits.max_ttl_telemetry_qos0_s, most=BYTES_MAX)
    _check_number(f"{at}.max-ttl-telemetry-qos1", limits.max_ttl_telemetry_qos1_s, most=BYTES_MAX)
    _check_number(f"{at}.max-ttl-command-response", limits.max_ttl_command_response_s, most=BYTES_MAX)
    _check_bytes(f"{at}.ext", limits.ext, INNER_EXT_MAX_BYTES)
    if limits.data_volume is not None:
        _check_number(f"{at}.data-volume.max-bytes", limits.data_volume.max_bytes, most=BYTES_MAX)
        _check_period(f"{at}.data-volume.period", limits.data_volume.period)
    if limits.connection_duration is not None:
        _check_number(f"{at}.connection-duration.max-minutes", limits.connection_duration.max_minutes, most=BYTES_MAX)
        _check_period(f"{at}.connection-duration.period", limits.connection_duration.period)


def _check_period(member: str, period: Period | None) -> None:
    if period is None:
        return
    _check_choice(f"{member}.mode", period.mode, PERIOD_MODES)
    _check_number(f"{member}.no-of-days", period.no_of_days or 0, least=1 if period.mode == "days" else 0)


def _check_registration(limits: RegistrationLimits) -> None:
    _check_number("registration-limits.max-devices", limits.max_devices)
    _check_number("registration-limits.max-credentials-per-device", limits.max_credentials_per_device)


def _check_tracing(tracing: Tracing) -> None:
    if tracing.sampling_mode is not None:
        _check_choice("tracing.sampling-mode", tracing.sampling_mode, SAMPLING_MODES)
    traced, member = tracing.sampling_mode_per_auth_id, "tracing.sampling-mode-per-auth-id"
    _require(len(traced) <= TRACED_MAX, member, f"must have at most {TRACED_MAX} members")
    for auth_id, mode in traced.items():
        _check_name(member, auth_id, most=AUTH_ID_MAX_CHARS)
        _check_choice(f"{member}.{auth_id[:64]}", mode, SAMPLING_MODES)


def _check_choice(member: str, word: str, words: Sequence[str]) -> None:
    _require(word in words, member, f"must be one of {', '.join(words)}")


def _check_number(member: str, number: int, *, least: int = -1, most: int = NUMBER_MAX) -> None:
    _require(least <= number <= most, member, f"must be an integer from {least} to {most}")


def _check_name(member: str, name: str, *, most: int = NAME_MAX_CHARS) -> None:
    _require(
        0 < len(name) <= most and _CONTROL.search(name) is None,
        member,
        f"must have 1 to {most} characters, none of them a control character",
    )


def _check_unique(member: str, key: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for place, value in enumerate(values):
        _require(value not in seen, f"{member}[{place}].{key}", f"{value[:64]!r} is there twice")
        seen.add(value)


def _check_bytes(member: str, value: Json, most: int) -> None:
    text = json.dumps(dict(value), ensure_ascii=False, separators=(",", ":"))
    _require(len(text.encode(errors="surrogatepass")) <= most, member, f"must take at most {most} bytes as JSON")


def _require(holds: bool, member: str, rule: str) -> None:
    if not holds:
        raise TenantInvalid.member(member, rule)
