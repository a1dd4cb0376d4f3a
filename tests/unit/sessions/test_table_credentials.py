"""What a change of credentials, or of the device itself, does to live sessions."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.admission.admission import Admitted
from adapters.sessions.session import Session, session_of
from kernel.errors import TuhonoError
from kernel.ids import AuthId, DeviceId
from registry.errors import StorageUnavailable
from registry.model import X509_CERT, Credential, Device, DeviceStatus, Secret
from registry.standing import proof_of
from tests.support.domain import ACME, World, build_world
from tests.support.stores import put

PUMP = DeviceId("pump")
FIRST = Secret(secret_id="1", material={"pwd-hash": "first"})
SECOND = Secret(secret_id="2", material={"pwd-hash": "second"})


@pytest.fixture
def world() -> World:
    world = build_world()
    world.put_tenant("acme")
    return world


def a_credential(type_: str = "hashed-password", **members: Any) -> Credential:
    given: dict[str, Any] = {"auth_id": AuthId("pump"), "secrets": (FIRST, SECOND), **members}
    return Credential(tenant_id=ACME, device_id=PUMP, type=type_, **given)


X509 = a_credential(X509_CERT, auth_id=AuthId("CN=pump"), secrets=(Secret(secret_id="x"),))


def register(world: World, *credentials: Credential, **members: Any) -> None:
    status = DeviceStatus(created=world.clock.now())
    put(world.store, Device(tenant_id=ACME, device_id=PUMP, status=status, **members), credentials)
    world.tenants.catch_up()


class Live:
    """A session by password, one by certificate, and why each ended."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ended: dict[str, str] = {}
        self.password = self._open("password", a_credential(), proof_of(FIRST))
        self.certificate = self._open("certificate", X509, None)

    def _open(self, name: str, credential: Credential, proof: str | None) -> Session:
        admitted = Admitted(
            tenant_id=ACME,
            device_id=PUMP,
            anchor_id=None,
            auth_id=credential.auth_id,
            provisioned=False,
            defaults={"room": "cellar"},
            credential_type=credential.type,
            proof=proof,
        )
        session = session_of(admitted, adapter="hono-mqtt", remote="192.0.2.1:5")

        def end(reason: TuhonoError) -> None:
            self.ended[name] = reason.code

        session.end = end
        self.world.table.add(session)
        return session


@pytest.fixture
def live(world: World) -> Live:
    register(world, a_credential(), X509)
    return Live(world)


@pytest.mark.parametrize(
    ("credentials", "ended"),
    [
        ([a_credential(), X509], {}),
        ([a_credential(comment="new", ext={"a": 1}), replace(X509, comment="new")], {}),
        ([a_credential(secrets=(FIRST,)), X509], {}),
        ([a_credential(secrets=(replace(FIRST, secret_id="another", comment="same"),)), X509], {}),
        ([a_credential(secrets=(SECOND,)), X509], {"password": "secret-withdrawn"}),
        ([a_credential(secrets=(replace(FIRST, enabled=False), SECOND)), X509], {"password": "secret-withdrawn"}),
        ([a_credential(enabled=False), X509], {"password": "credential-disabled"}),
        ([X509], {"password": "credential-unknown"}),
        ([a_credential(), replace(X509, enabled=False)], {"certificate": "credential-disabled"}),
        ([a_credential()], {"certificate": "credential-unknown"}),
        ([a_credential("psk")], {"password": "credential-unknown", "certificate": "credential-unknown"}),
        ([], {"password": "credential-unknown", "certificate": "credential-unknown"}),
    ],
    ids=["same", "said-of-it", "other-secret-gone", "other-secret-id", "changed", "secret-off", "off", "gone",
         "certificate-off", "certificate-gone", "another-type", "all-gone"],
)  # fmt: skip
def test_a_session_ends_with_its_own_credential_and_no_other(
    live: Live, credentials: Sequence[Credential], ended: dict[str, str]
) -> None:
    register(live.world, *credentials)
    assert live.ended == ended
    assert len(live.world.table) == 2 - len(ended)


def test_a_secret_whose_time_is_over_lets_in_no_more_once_something_changes(live: Live) -> None:
    past = live.world.clock.now() - timedelta(seconds=1)
    register(live.world, a_credential(secrets=(replace(FIRST, not_after=past), SECOND)), X509)
    assert live.ended == {"password": "secret-withdrawn"}


def test_a_credential_that_went_to_another_device_is_gone(live: Live) -> None:
    register(live.world, X509)
    other = replace(a_credential(), device_id=DeviceId("valve"))
    status = DeviceStatus(created=live.world.clock.now())
    put(live.world.store, Device(tenant_id=ACME, device_id=DeviceId("valve"), status=status), [other])
    assert live.ended == {"password": "credential-unknown"}


def test_what_a_device_says_of_its_messages_is_taken_anew(live: Live) -> None:
    register(live.world, a_credential(), X509, defaults={"room": "attic"})
    assert live.password.defaults == live.certificate.defaults == {"room": "attic"}
    assert live.ended == {}


def test_where_it_cannot_be_known_the_session_ends(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StorageUnavailable("gone")

    monkeypatch.setattr(live.world.store.connect_path, "find_by_credential_now", fail)
    monkeypatch.setattr(live.world.store.connect_path, "find_credential_now", fail)
    monkeypatch.setattr(live.world.store.connect_path, "find_device_now", fail)
    register(live.world, a_credential(), X509)
    assert live.ended == {"password": "changes-missed", "certificate": "changes-missed"}
