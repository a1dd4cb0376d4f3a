"""Certificates we make: contain what their profile says, are read by others, and pass our own judgement."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki.certificates import parse_certificate
from pki.chains import PathRules, authority_of, judge
from pki.errors import IssuanceRefused, NameInvalid
from pki.issuance import BACKDATED, DAYS_MAX, create_authority, issue
from pki.profiles import AUTHORITY, DEVICE, SERVER, Profile
from pki.signers.file import KEY_KINDS, FileSigner
from tests.support.certificates import new_key

NOW = datetime(2026, 1, 1, 12, 0, 0, 250, tzinfo=UTC)
FAST_KINDS = [kind for kind in KEY_KINDS if not kind.startswith("rsa")] + ["rsa-2048"]


def signer(kind: str = "ec-p256") -> FileSigner:
    return FileSigner(KEY_KINDS[kind]())


CA_SIGNER = signer()
CA = create_authority("CN=Dev CA,O=Tuhono", signer=CA_SIGNER, now=NOW, days=1000)


def issued(
    subject: str = "CN=dev",
    *,
    public_key_der: bytes | None = None,
    authority_der: bytes = CA,
    by: FileSigner = CA_SIGNER,
    profile: Profile = DEVICE,
    days: int = 100,
    now: datetime = NOW,
    alternative_names: tuple[str, ...] = (),
    serial_number: int | None = None,
) -> bytes:
    return issue(
        subject,
        public_key_der=signer().public_key_der if public_key_der is None else public_key_der,
        authority_der=authority_der,
        signer=by,
        profile=profile,
        now=now,
        days=days,
        alternative_names=alternative_names,
        serial_number=serial_number,
    )


@pytest.mark.parametrize("kind", FAST_KINDS)
def test_a_device_of_a_new_authority_is_accepted_by_us_and_by_others(kind: str) -> None:
    key = signer(kind)
    authority = create_authority("CN=Dev CA,O=é", signer=key, now=NOW, days=1000)
    device = issued(public_key_der=signer(kind).public_key_der, authority_der=authority, by=key)
    verdict = judge([parse_certificate(device)], [authority_of(authority)], at=NOW, rules=PathRules())
    assert verdict.fault is None
    read = x509.load_der_x509_certificate(device)
    read.verify_directly_issued_by(x509.load_der_x509_certificate(authority))
    assert len(read.extensions) == 5


def test_an_authority_can_make_another() -> None:
    middle = signer()
    middle_der = issued("CN=Middle", public_key_der=middle.public_key_der, profile=AUTHORITY)
    device = issued(authority_der=middle_der, by=middle)
    chain = [parse_certificate(device), parse_certificate(middle_der)]
    assert judge(chain, [authority_of(CA)], at=NOW, rules=PathRules()).fault is None


def test_what_an_authority_contains() -> None:
    read = x509.load_der_x509_certificate(CA)
    assert read.extensions.get_extension_for_class(x509.BasicConstraints).critical
    assert parse_certificate(CA).is_ca
    usage = read.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)
    assert read.not_valid_before_utc == NOW.replace(microsecond=0) - BACKDATED
    assert read.not_valid_after_utc == NOW.replace(microsecond=0) + timedelta(days=1000)
    assert 0 < read.serial_number < 1 << 159


def test_what_a_server_contains() -> None:
    names = ("dns:localhost", "ip:127.0.0.1", "ip:::1", "uri:https://a/", "email:a@b")
    read = x509.load_der_x509_certificate(issued(profile=SERVER, alternative_names=names))
    purposes = read.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
    alternatives = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternatives.get_values_for_type(x509.DNSName) == ["localhost"]
    assert len(alternatives) == 5
    ids = read.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert ids == parse_certificate(CA).subject_key_id


def test_subjects_are_encoded_as_names_are_compared() -> None:
    certificate = parse_certificate(issued("CN=dev 1,SERIALNUMBER=a_b,DC=x,EMAIL=a@b"))
    assert certificate.subject_dn.startswith("CN=dev 1,2.5.4.5=#0c03615f62,DC=x,1.2.840.113549.1.9.1=#1603614062")


def test_no_certificate_outlives_its_authority() -> None:
    certificate = parse_certificate(issued(days=5000))
    assert certificate.not_after == parse_certificate(CA).not_after


def test_times_beyond_2049_are_written_in_the_longer_form() -> None:
    authority = create_authority("CN=x", signer=CA_SIGNER, now=NOW, days=DAYS_MAX)
    assert parse_certificate(authority).not_after == NOW.replace(microsecond=0) + timedelta(days=DAYS_MAX)
    assert x509.load_der_x509_certificate(authority).not_valid_after_utc.year > 2100


@pytest.mark.parametrize("serial", [1, 127, 128, 255, 256, (1 << 159) - 1])
def test_a_serial_number_may_be_given(serial: int) -> None:
    assert int(parse_certificate(issued(serial_number=serial)).serial_hex, 16) == serial


@pytest.mark.parametrize("serial", [0, -1, 1 << 159])
def test_other_serial_numbers_are_refused(serial: int) -> None:
    with pytest.raises(IssuanceRefused):
        issued(serial_number=serial)


@pytest.mark.parametrize("days", [0, -1, DAYS_MAX + 1])
def test_a_validity_without_sense_is_refused(days: int) -> None:
    with pytest.raises(IssuanceRefused):
        issued(days=days)


def test_an_expired_authority_issues_nothing() -> None:
    with pytest.raises(IssuanceRefused):
        issued(now=NOW + timedelta(days=1001))


def test_only_a_ca_issues_and_only_with_its_own_key() -> None:
    device_key = signer()
    device = issued(public_key_der=device_key.public_key_der)
    with pytest.raises(IssuanceRefused, match="no CA"):
        issued(authority_der=device, by=device_key)
    with pytest.raises(IssuanceRefused, match="not that of"):
        issued(by=signer())


def test_weak_and_broken_keys_get_no_certificate() -> None:
    weak = FileSigner(new_key("rsa1024"))
    for public_key_der in (weak.public_key_der, b"nonsense"):
        with pytest.raises(IssuanceRefused):
            issued(public_key_der=public_key_der)


@pytest.mark.parametrize("subject", ["", "CN=" + "x" * 4100])
def test_subjects_without_sense_are_refused(subject: str) -> None:
    with pytest.raises(IssuanceRefused):
        issued(subject)


def test_what_is_no_subject_is_refused() -> None:
    with pytest.raises(NameInvalid):
        issued("sensor1")


def test_a_server_needs_alternative_names() -> None:
    with pytest.raises(IssuanceRefused, match="server"):
        issued(profile=SERVER)


@pytest.mark.parametrize("name", ["localhost", "ip:localhost", "dns:é", "uri:é", "email:é", "other:x"])
def test_what_is_no_alternative_name_is_refused(name: str) -> None:
    with pytest.raises(IssuanceRefused):
        issued(alternative_names=(name,))
