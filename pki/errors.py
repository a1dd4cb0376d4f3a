"""Why a certificate, a chain or a name is not accepted. One class a fact, one stable code each."""

from kernel.errors import Conflict, Malformed, Unauthenticated


class NameInvalid(Malformed):
    """A string is no distinguished name by RFC 2253 as hono-registry 4.5 spells it."""

    code = "name-invalid"
    told = "not a distinguished name"


class TemplateInvalid(Malformed):
    """An id template breaks the rules of hono-registry 2.1.2."""

    code = "template-invalid"
    told = "not a valid template"


class TemplateUnfilled(Malformed):
    """The certificate lacks an attribute the template asks for."""

    code = "template-unfilled"
    told = "certificate lacks an attribute that the tenant's template needs"


class ChainRejected(Unauthenticated):
    """Base of every reason for which a presented chain proves nothing."""

    code = "chain-rejected"


class CertificateUnreadable(ChainRejected):
    """The bytes are no X.509 certificate."""

    code = "certificate-unreadable"


class KeyTooLarge(CertificateUnreadable):
    """A certificate's RSA key is so large that verifying with it would cost milliseconds; refused unused."""

    code = "key-too-large"


class NameUnreadable(ChainRejected):
    """A subject or issuer holds control characters, or bytes its string type does not allow."""

    code = "name-unreadable"


class ChainTooLarge(ChainRejected):
    """More certificates, more bytes or a longer subject than the limits allow."""

    code = "chain-too-large"


class CertificateExpired(ChainRejected):
    """The end of a certificate's validity has passed."""

    code = "certificate-expired"


class CertificateNotYetValid(ChainRejected):
    """A certificate's validity has not begun."""

    code = "certificate-not-yet-valid"


class AnchorNotValidNow(ChainRejected):
    """The trust anchor itself is outside its validity."""

    code = "anchor-not-valid-now"


class SignatureInvalid(ChainRejected):
    """The issuer's name fits, its key does not: an impostor, or a CA whose key was replaced."""

    code = "signature-invalid"


class PathIncomplete(ChainRejected):
    """No path leads from the leaf to a trust anchor through the certificates presented."""

    code = "path-incomplete"


class IssuerNotCa(ChainRejected):
    """A certificate signed another one without being allowed to."""

    code = "issuer-not-ca"


class PathTooLong(ChainRejected):
    """A CA's path length constraint is exceeded."""

    code = "path-too-long"


class NameConstraintViolated(ChainRejected):
    """A name lies outside what a CA of the path may vouch for."""

    code = "name-constraint-violated"


class CriticalExtensionUnknown(ChainRejected):
    """A certificate of the path carries a critical extension nobody here understands."""

    code = "critical-extension-unknown"


class KeyUsageForbids(ChainRejected):
    """The certificate's key usage excludes what it is used for."""

    code = "key-usage-forbids"


class ExtendedKeyUsageForbids(ChainRejected):
    """The certificate's extended key usage does not allow client authentication."""

    code = "extended-key-usage-forbids"


class KeyTooWeak(ChainRejected):
    """A key is shorter than allowed, or of a curve given by explicit parameters."""

    code = "key-too-weak"


class SignatureTooWeak(ChainRejected):
    """A signature uses MD5 or SHA-1."""

    code = "signature-too-weak"


class IssuanceRefused(Malformed):
    """A certificate that was asked for is not made: wrong key, no CA, no names, no sensible validity."""

    code = "issuance-refused"
    told = "such a certificate is not issued"


class KeyFileExists(Conflict):
    """A private key is never overwritten."""

    code = "key-file-exists"
    told = "the key file exists"


class KeyFileUnreadable(Malformed):
    """A file holds no private key, or one that needs a password or cannot sign."""

    code = "key-file-unreadable"
    told = "not a private key"
