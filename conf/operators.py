"""Settings of operators: how they prove who they are."""

from dataclasses import dataclass
from pathlib import Path

from conf.setting import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSettings:
    """Logins to the management API, their tokens, and how fast somebody may guess."""

    token_lifetime_s: int = setting(900, "seconds a token is good for", minimum=1, maximum=86_400)
    token_key_file: Path | None = setting(
        None, "file of the key that signs tokens, the same for every machine; default: one made in the data directory"
    )
    password_memory_s: float = setting(
        300.0, "seconds a password that was right is not verified again, though ever compared", minimum=0, maximum=3600
    )
    login_free_tries: int = setting(
        5, "failed logins of one account from one address that cost no time", minimum=1, maximum=1000
    )
    login_backoff_first_s: float = setting(
        1.0, "seconds the next login waits then; twice as long after each further failure", minimum=0.01, maximum=3600
    )
    login_backoff_max_s: float = setting(900.0, "the longest that a login waits", minimum=0.01, maximum=86_400)
