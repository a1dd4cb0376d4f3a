"""What issuing needs of whoever holds a CA's private key."""

from typing import Protocol


class Signer(Protocol):
    """A private key that signs and never shows itself: in a file, a vault or a hardware module."""

    @property
    def public_key_der(self) -> bytes:
        """SubjectPublicKeyInfo of the key that signs."""
        ...

    @property
    def algorithm_der(self) -> bytes:
        """AlgorithmIdentifier of the signatures it makes, whole."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Signature as it stands in a certificate. May block; may raise Unavailable."""
        ...
