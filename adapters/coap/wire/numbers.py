"""The numbers CoAP assigns: message types, codes, options, and how a code is written.

Plain integers: they are compared for every datagram. Registries: RFC 7252 section 12, RFC 7959, RFC 8323.
"""

from typing import Final

# message types, RFC 7252 3
CON: Final = 0
NON: Final = 1
ACK: Final = 2
RST: Final = 3

# codes: class in the upper three bits, detail in the lower five
EMPTY: Final = 0x00
GET: Final = 0x01
POST: Final = 0x02
PUT: Final = 0x03
DELETE: Final = 0x04
CHANGED: Final = 0x44  # 2.04
CONTINUE: Final = 0x5F  # 2.31
BAD_REQUEST: Final = 0x80  # 4.00
UNAUTHORIZED: Final = 0x81
BAD_OPTION: Final = 0x82
FORBIDDEN: Final = 0x83
NOT_FOUND: Final = 0x84
METHOD_NOT_ALLOWED: Final = 0x85
REQUEST_ENTITY_INCOMPLETE: Final = 0x88  # 4.08
CONFLICT: Final = 0x89
PRECONDITION_FAILED: Final = 0x8C
REQUEST_ENTITY_TOO_LARGE: Final = 0x8D  # 4.13
TOO_MANY_REQUESTS: Final = 0x9D  # 4.29
INTERNAL_SERVER_ERROR: Final = 0xA0  # 5.00
SERVICE_UNAVAILABLE: Final = 0xA3  # 5.03
PROXYING_NOT_SUPPORTED: Final = 0xA5  # 5.05

# options
URI_HOST: Final = 3
URI_PORT: Final = 7
URI_PATH: Final = 11
CONTENT_FORMAT: Final = 12
MAX_AGE: Final = 14
URI_QUERY: Final = 15
ACCEPT: Final = 17
BLOCK2: Final = 23
BLOCK1: Final = 27
PROXY_URI: Final = 35
PROXY_SCHEME: Final = 39
SIZE1: Final = 60
OPTION_NUMBER_MAX: Final = 65_535

TOKEN_MAX_BYTES: Final = 8
TEXT_PLAIN: Final = 0  # content format


def is_request(code: int) -> bool:
    """Whether a code asks for something, known method or not: 0.01 to 0.31."""
    return 0 < code < 0x20


def spelled(code: int) -> str:
    """A code as people write it: 0x44 is "2.04"."""
    return f"{code >> 5}.{code & 0x1F:02d}"
