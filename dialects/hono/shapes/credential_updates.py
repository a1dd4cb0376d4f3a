"""From the body of a credentials request to what the registry is asked for (hono-registry 2.3).

Forms are checked here: Base64, keys, certificates, times. What settings, the tenant or what is on record have a say in
stands in registry/credentials.py. Every fault names element, member and rule: `credentials[1].secrets[0].key: …`.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET

from dialects.hono.errors import BodyInvalid
from dialects.hono.shapes.credentials import (
    SHAPES,
    AnySecret,
    OtherCredential,
    PasswordCredential,
    PasswordSecret,
    PskCredential,
    PskSecret,
    RpkCredential,
    RpkSecret,
    X509Credential,
)
from dialects.hono.shapes.values import Json, base64_text, der_of, moment_of, parse_json, shaped
from kernel.errors import TuhonoError
from pki.certificates import parse_certificate
from pki.keys import EC, RSA, IssuerKey
from registry.credentials import CREDENTIALS_MAX, CredentialUpdate, SecretUpdate

_Known = PasswordCredential | PskCredential | RpkCredential | X509Credential
_OF_ANY_SECRET: Final = frozenset(field.encode_name for field in msgspec.structs.fields(AnySecret))
_KINDS: Final = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}


def updates_of(body: bytes) -> Sequence[CredentialUpdate]:
    """What a body wishes a device's credentials to be. Raises BodyInvalid."""
    try:
        value = parse_json(body)
    except BodyInvalid as fault:
        if not fault.member:
            raise
        raise fault.within("credentials") from fault
    return updates_in(value)


def updates_in(value: Any) -> Sequence[CredentialUpdate]:
    """The same of a value out of `parse_json`."""
    if not isinstance(value, list):
        raise BodyInvalid("", f"must be an array of credentials, not {_kind(value)}")
    if len(value) > CREDENTIALS_MAX:
        raise BodyInvalid("credentials", f"must have at most {CREDENTIALS_MAX} entries")
    return [_within(f"credentials[{place}]", _update_of, element) for place, element in enumerate(value)]


def _update_of(element: Any) -> CredentialUpdate:
    if not isinstance(element, dict):
        raise BodyInvalid("", f"must be a credential, an object, not {_kind(element)}")
    if "type" not in element:
        raise BodyInvalid("type", "is required")
    type_ = element["type"]
    if not isinstance(type_, str):
        raise BodyInvalid("type", f"must be a string, not {_kind(type_)}")
    if type_ not in SHAPES:
        return _other(shaped(OtherCredential, element))
    known: _Known = shaped(SHAPES[type_], element)
    if isinstance(known, X509Credential) and known.cert is not UNSET:
        return _update(known, type_, certificate_der=der_of(known.cert, "cert"))
    if known.auth_id is UNSET or known.secrets is UNSET:
        raise BodyInvalid("auth-id" if known.auth_id is UNSET else "secrets", "is required where there is no cert")
    secrets = [_within(f"secrets[{at}]", _secret_of, secret) for at, secret in enumerate(known.secrets)]
    return _update(known, type_, auth_id=known.auth_id, secrets=tuple(secrets))


def _other(body: OtherCredential) -> CredentialUpdate:
    secrets = [_within(f"secrets[{at}]", _other_secret, secret) for at, secret in enumerate(body.secrets)]
    return _update(body, body.type, auth_id=body.auth_id, secrets=tuple(secrets))


def _update(body: _Known | OtherCredential, type_: str, **members: Any) -> CredentialUpdate:
    return CredentialUpdate(
        type=type_, enabled=_said(body.enabled), comment=_said(body.comment), ext=body.ext or {}, **members
    )


def _secret_of(secret: AnySecret) -> SecretUpdate:
    if isinstance(secret, PasswordSecret):
        members = {"pwd-hash": secret.pwd_hash, "hash-function": secret.hash_function, "salt": secret.salt}
        if secret.salt is not UNSET:
            der_of(secret.salt, "salt")
        return _secret(secret, material=_sent(members), password=_said(secret.pwd_plain))
    if isinstance(secret, PskSecret):
        if secret.key is not UNSET:
            der_of(secret.key, "key")
        return _secret(secret, material=_sent({"key": secret.key}))
    if isinstance(secret, RpkSecret):
        return _raw_public_key(secret)
    return _secret(secret)


def _raw_public_key(secret: RpkSecret) -> SecretUpdate:
    if secret.cert is not UNSET:
        try:
            certificate = parse_certificate(der_of(secret.cert, "cert"))
        except TuhonoError as fault:
            if isinstance(fault, BodyInvalid):
                raise
            raise BodyInvalid("cert", str(fault)) from fault
        return _secret(
            secret,
            material=_key_of(certificate.public_key_der, None, "cert"),
            not_before=certificate.not_before,
            not_after=certificate.not_after,
        )
    if secret.key is UNSET:
        if secret.algorithm is not UNSET:
            raise BodyInvalid("key", "is required where there is an algorithm")
        return _secret(secret)
    algorithm = RSA if secret.algorithm is UNSET else secret.algorithm
    return _secret(secret, material=_key_of(der_of(secret.key, "key"), algorithm, "key"))


def _key_of(public_key_der: bytes, algorithm: str | None, member: str) -> Json:
    key = IssuerKey(public_key_der)
    kind = key.facts.kind if key.facts is not None else ""
    if kind not in {RSA, EC} or key.loaded is None or key.facts is None or key.facts.is_too_large:
        raise BodyInvalid(member, "must hold a public key, RSA or EC, as a SubjectPublicKeyInfo")
    if algorithm not in {None, kind}:
        raise BodyInvalid("algorithm", f"is {algorithm}, and the key is one of {kind}")
    return {"key": base64_text(public_key_der), "algorithm": kind}


def _other_secret(secret: Json) -> SecretUpdate:
    known = {name: value for name, value in secret.items() if name in _OF_ANY_SECRET}
    material = {name: value for name, value in secret.items() if name not in _OF_ANY_SECRET}
    return _secret(shaped(AnySecret, known), material=material)


def _secret(
    body: AnySecret,
    *,
    material: Mapping[str, Any] | None = None,
    password: str | None = None,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> SecretUpdate:
    """The bounds given here go before those in the body."""
    return SecretUpdate(
        secret_id=_said(body.id),
        enabled=_said(body.enabled),
        not_before=not_before or moment_of(body.not_before or "", "not-before"),
        not_after=not_after or moment_of(body.not_after or "", "not-after"),
        comment=_said(body.comment),
        material=material or {},
        password=password,
    )


def _within(outer: str, read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except BodyInvalid as fault:
        raise fault.within(outer) from fault


def _sent(members: Mapping[str, Any]) -> Json:
    return {name: value for name, value in members.items() if value is not UNSET}


def _said(value: Any) -> Any:
    return None if value is UNSET else value


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "a number")
