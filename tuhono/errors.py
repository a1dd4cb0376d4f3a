"""Why a gateway is not built."""

from kernel.errors import Malformed


class TokenKeyUnusable(Malformed):
    """The file of the key that signs tokens holds too little to be one."""

    code = "token-key-unusable"
