"""Which code an error becomes: the rows of hono-adapters 2.1 to 2.3 and hono-registry 4.7."""

import pytest

from adapters.mqtt import errors, refusals
from adapters.mqtt.topics import Topic
from adapters.mqtt.wire.errors import AdmissionOverdue, MalformedPacket
from adapters.sessions.errors import AdmissionsFull, ContentTypeMismatch, SessionTakenOver, ShuttingDown, TrustWithdrawn
from adapters.sessions.session import Session
from kernel.errors import Conflict, LimitExceeded, Malformed, TooLarge, TuhonoError, Unavailable
from kernel.ids import DeviceId, TenantId
from pki.errors import ChainRejected
from registry.errors import (
    CredentialDisabled,
    CredentialUnknown,
    DeviceDisabled,
    DeviceUnknown,
    GatewayNotAuthorized,
    NotAuthenticated,
    StorageUnavailable,
)
from tenant.errors import (
    AdapterDisabled,
    ProvisioningRateExceeded,
    ServerNameWithoutTenant,
    TenantDisabled,
    TenantUnknown,
    UntrustedIssuer,
)

SESSION = Session(adapter="hono-mqtt", tenant_id=TenantId("acme"), device_id=DeviceId("gateway"))


@pytest.mark.parametrize(
    ("error", "v3_code", "reason", "outcome"),
    [
        (UntrustedIssuer("x"), 4, 0x86, "unauthorized"),
        (ChainRejected("x"), 4, 0x86, "unauthorized"),
        (CredentialUnknown("x"), 4, 0x86, "unauthorized"),
        (CredentialDisabled("x"), 4, 0x86, "unauthorized"),
        (NotAuthenticated("x"), 4, 0x86, "unauthorized"),
        (TenantUnknown("x"), 4, 0x86, "unauthorized"),
        (DeviceUnknown("x"), 4, 0x86, "unauthorized"),
        (DeviceDisabled("x"), 5, 0x87, "registration-assertion-failure"),
        (GatewayNotAuthorized("x"), 5, 0x87, "registration-assertion-failure"),
        (TenantDisabled("x"), 5, 0x87, "unauthorized"),
        (AdapterDisabled("x"), 5, 0x87, "adapter-disabled"),
        (ServerNameWithoutTenant("x"), 5, 0x87, "unauthorized"),
        (Conflict("x"), 5, 0x87, "unauthorized"),
        (LimitExceeded("x"), 5, 0x97, "tenant-connections-exceeded"),
        (ProvisioningRateExceeded("x"), 3, 0x9F, "unavailable"),
        (AdmissionsFull("x"), 3, 0x9C, "adapter-connections-exceeded"),
        (StorageUnavailable("x"), 3, 0x88, "unavailable"),
        (ShuttingDown("x"), 3, 0x88, "unavailable"),
        (AdmissionOverdue("x"), 3, 0x88, "unavailable"),
        (MalformedPacket("x"), 5, 0x80, "unknown"),
        (TuhonoError("x"), 5, 0x80, "unknown"),
        (ValueError("x"), 5, 0x80, "unknown"),
    ],
)
def test_connect(error: Exception, v3_code: int, reason: int, outcome: str) -> None:
    refusal = refusals.connect_refusal(error)
    assert (refusal.v3_code, refusal.reason, refusal.outcome) == (v3_code, reason, outcome)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.TopicMalformed("x"), 0x90),
        (errors.EndpointUnknown("x"), 0x90),
        (errors.EventQosUnsupported("x"), 0x9B),
        (ContentTypeMismatch("x"), 0x83),
        (TooLarge("x"), 0x95),
        (LimitExceeded("x"), 0x97),
        (GatewayNotAuthorized("x"), 0x87),
        (DeviceUnknown("x"), 0x87),
        (Unavailable("x"), 0x89),
        (ValueError("x"), 0x80),
    ],
)
def test_publish(error: Exception, reason: int) -> None:
    assert refusals.publish_reason(error) == reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SessionTakenOver("x"), 0x8E),
        (ShuttingDown("x"), 0x8B),
        (DeviceDisabled("x"), 0x98),
        (TenantDisabled("x"), 0x98),
        (TrustWithdrawn("x"), 0x98),
        (LimitExceeded("x"), 0x97),
        (Unavailable("x"), 0x89),
        (TuhonoError("x"), 0x80),
    ],
)
def test_end(error: Exception, reason: int) -> None:
    assert refusals.end_reason(error) == reason


def test_a_defect_tells_the_device_nothing() -> None:
    assert refusals.told(ValueError("the password is 1234")) == "Internal server error"


@pytest.mark.parametrize(
    ("on_error", "then"),
    [("default", "close"), ("disconnect", "close"), ("ignore", "acknowledge"), ("skip-ack", "say-nothing")],
)
def test_what_follows_a_message_that_failed(on_error: str, then: str) -> None:
    assert refusals.after_failure(Malformed("x"), Topic(on_error=on_error), SESSION) == then


@pytest.mark.parametrize("on_error", ["default", "disconnect", "ignore", "skip-ack"])
@pytest.mark.parametrize(
    "error",
    [AdapterDisabled("x"), TenantDisabled("x"), TenantUnknown("x"), GatewayNotAuthorized("x"), ValueError("x")],
)
def test_who_may_not_go_on_is_closed_whatever_the_message_says(error: Exception, on_error: str) -> None:
    assert refusals.after_failure(error, Topic(on_error=on_error, device="pump"), SESSION) == refusals.CLOSE


@pytest.mark.parametrize("error", [DeviceUnknown("x"), DeviceDisabled("x")])
@pytest.mark.parametrize(("device", "then"), [(None, "close"), ("gateway", "close"), ("pump", "acknowledge")])
def test_only_its_own_absence_ends_a_gateway(error: Exception, device: str | None, then: str) -> None:
    assert refusals.after_failure(error, Topic(on_error="ignore", device=device), SESSION) == then
