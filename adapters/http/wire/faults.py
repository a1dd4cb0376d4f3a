"""What may be wrong with the bytes of a request. After any of these the connection has lost its framing."""

from kernel.errors import Malformed, Refused, TooLarge


class RequestMalformed(Malformed):
    """The request line or a header line breaks the grammar of RFC 9112."""

    code = "http-request-malformed"


class LineEndMalformed(Malformed):
    """A line ends with a bare LF or a bare CR, or a header value is folded over two lines."""

    code = "http-line-end-malformed"


class FramingAmbiguous(Malformed):
    """Two readers could disagree on where the body ends: RFC 9112 section 6.3."""

    code = "http-framing-ambiguous"


class ChunkMalformed(Malformed):
    """A chunk's size line, its closing CRLF or a trailer breaks the grammar."""

    code = "http-chunk-malformed"


class HostMalformed(Malformed):
    """The Host header is missing, given twice, or no host: RFC 9112 section 3.2."""

    code = "http-host-malformed"


class VersionUnsupported(Malformed):
    """The protocol version is neither HTTP/1.0 nor HTTP/1.1. (505)"""

    code = "http-version-unsupported"
    told = "HTTP version not supported"


class ExpectationUnknown(Malformed):
    """The Expect header asks for something other than 100-continue. (417)"""

    code = "http-expectation-unknown"
    told = "expectation not supported"


class HeadTooLarge(Malformed):
    """The request line and headers exceed their limit of bytes or lines. (431)"""

    code = "http-head-too-large"
    told = "request header fields too large"


class BodyTooLarge(TooLarge):
    """The body exceeds its limit, by its announced length or by the chunks received so far."""

    code = "http-body-too-large"


class RequestTooSlow(Refused):
    """Between the first and the last byte of a request lay more time than allowed. (408)"""

    code = "http-request-too-slow"
    told = "request timeout"
