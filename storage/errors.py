"""What only a database can find wrong. Facts of the domain stand in the domain rooms' errors."""

from kernel.errors import Malformed, TuhonoError


class StorageTooNew(TuhonoError):
    """A newer release of the program wrote this database; this one might damage it, so it does not open it."""

    code = "storage-too-new"


class NameUnstorable(Malformed):
    """A text is no sequence of characters that this database can keep and give back unchanged."""

    code = "name-unstorable"


class StorageForeign(TuhonoError):
    """The file is a database of some other program."""

    code = "storage-foreign"
