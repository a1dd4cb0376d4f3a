"""Certificates as they lie in files."""

import pytest

from pki.errors import CertificateUnreadable
from pki.pem import FILE_MAX_BYTES, certificates_in, render_certificate
from tests.support.certificates import make_ca


def test_every_block_is_found_with_text_around() -> None:
    one, two = make_ca("CN=1"), make_ca("CN=2")
    content = b"subject: x\r\n" + one.pem.replace(b"\n", b"\r\n") + b"-----BEGIN X-----\n-----END X-----\n" + two.pem
    assert certificates_in(content) == [one.der, two.der]


def test_der_is_taken_as_it_is() -> None:
    ca = make_ca()
    assert certificates_in(ca.der) == [ca.der]


def test_what_is_rendered_is_what_others_render() -> None:
    ca = make_ca()
    assert render_certificate(ca.der) == ca.pem
    assert certificates_in(render_certificate(ca.der)) == [ca.der]


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----", b"\x30" * (FILE_MAX_BYTES + 1)],
    ids=["empty", "text", "no Base64", "huge"],
)
def test_files_without_certificate_are_refused(content: bytes) -> None:
    with pytest.raises(CertificateUnreadable):
        certificates_in(content)
