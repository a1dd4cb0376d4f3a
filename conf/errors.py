"""Why a configuration is not accepted: every fault at once, each with the key and the rule it breaks."""

from collections.abc import Iterable
from dataclasses import dataclass

from kernel.errors import Malformed

FAULTS_MAX = 200  # a person mends these first; the rest is counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong, and where: a key path (`mqtt.port`), an environment variable, or the file itself."""

    key: str
    says: str
    source: str = ""  # the environment variable, where the value came from one

    def __str__(self) -> str:
        return f"{self.key} ({self.source}): {self.says}" if self.source else f"{self.key}: {self.says}"


class ConfigurationInvalid(Malformed):
    """The configuration breaks rules; `faults` holds all of them, in the order they were found."""

    code = "configuration-invalid"
    told = "configuration is invalid"

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


class FaultList:
    """Collects faults up to FAULTS_MAX and counts those beyond."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._keys: set[str] = set()
        self._left_out = 0

    def add(self, key: str, says: str, *, source: str = "") -> None:
        if self.is_full:
            self._left_out += 1
            return
        self._keys.add(key)
        self._faults.append(Fault(key=key, says=says, source=source))

    @property
    def is_full(self) -> bool:
        return len(self._faults) >= FAULTS_MAX

    def concerns(self, *keys: str) -> bool:
        """Whether one of these keys is at fault already, so that a rule between them says nothing new."""
        return not self._keys.isdisjoint(keys)

    def raise_if_any(self) -> None:
        if self._left_out:
            self._faults.append(Fault(key="…", says=f"{self._left_out} more faults are not listed"))
        if self._faults:
            raise ConfigurationInvalid(self._faults)
