"""The Authorization header of a request as a user name and password (RFC 7617)."""

from base64 import b64decode
from typing import Final

from adapters.admission.evidence import Login

UNREADABLE: Final = Login(user_name="")  # names nobody; admission has the words for it
_SCHEME: Final = b"basic"


def login_of(authorization: bytes) -> Login:
    """UNREADABLE for another scheme, and for what is not Base64 of UTF-8 with a colon in it."""
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != _SCHEME:
        return UNREADABLE
    try:
        user_name, colon, password = b64decode(token.strip(), validate=True).partition(b":")
        return Login(user_name=user_name.decode(), password=password) if colon else UNREADABLE
    except ValueError:
        return UNREADABLE
