"""What aiohttp has to say of requests, in this project's records.

aiohttp logs every request it cannot parse as an error with a traceback that quotes the bytes received. Such
a request is its sender's affair: told at debug level, in one word, so that no stranger can fill the log or
write into it. A defect of ours keeps its traceback.
"""

import logging
from typing import Any

from aiohttp.http_exceptions import HttpProcessingError

from kernel.log import fields

log = logging.getLogger(__name__)


class RequestLog(logging.LoggerAdapter[logging.Logger]):
    """Takes the place of aiohttp's own logger."""

    def __init__(self) -> None:
        super().__init__(log, {})

    def exception(self, msg: object, *args: object, exc_info: Any = True, **_: Any) -> None:
        if isinstance(exc_info, HttpProcessingError):
            log.debug("management.request-refused", extra=fields(reason=type(exc_info).__name__))
        else:
            log.error("management.request-failed", exc_info=exc_info, extra=fields(detail=str(msg)))
