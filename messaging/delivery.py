"""Calling whoever submitted a message, so that one caller's defect stays its own."""

import logging

from kernel.errors import Unavailable
from messaging.ports import Kept

log = logging.getLogger(__name__)


def call_kept(kept: Kept, reason: Unavailable | None) -> None:
    """Call `kept`. Whatever it raises is logged as a defect and goes no further."""
    try:
        kept(reason)
    except Exception:
        log.exception("message.callback-failed")
