"""`tuhono serve` that believes whoever says which operator he is."""

from conf.sections import Settings
from kernel.clock import Clock
from storage.open import Store
from tests.support.believer import Believer
from tuhono import operating
from tuhono.cli.main import app


def believing(settings: Settings, store: Store, clock: Clock) -> Believer:
    return Believer()


if __name__ == "__main__":
    operating.operator_authenticator = believing
    app()
