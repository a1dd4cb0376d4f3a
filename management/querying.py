"""The size of a page, the same for all our own lists."""

from typing import Annotated

from msgspec import Meta

from dialects.hono.asked import Asked
from kernel.exchange import Parameter

PAGE_SIZE_MAX = 200
PAGE_SIZE_DEFAULT = 50

PAGE_SIZE = Parameter(
    name="pageSize",
    type=Annotated[int, Meta(ge=1, le=PAGE_SIZE_MAX)],
    says=f"How many to answer with at most; {PAGE_SIZE_DEFAULT} unless given.",
)


def page_size(asked: Asked) -> int:
    """Raises QueryInvalid."""
    return asked.whole(PAGE_SIZE.name, default=PAGE_SIZE_DEFAULT, most=PAGE_SIZE_MAX)
