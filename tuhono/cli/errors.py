"""Why a command cannot be carried out, where no room below has a word for it."""

from kernel.errors import Conflict, Malformed, NotFound, Refused, Unauthenticated, Unavailable


class DataDirectoryMissing(NotFound):
    """There is no registry where the command looks for one."""

    code = "no-data-directory"


class FileKept(Conflict):
    """A file is in the place of one that would be written; nothing is overwritten."""

    code = "file-exists"


class FileNameInvalid(Malformed):
    """A name that files are to have is none."""

    code = "file-name-invalid"


class FileUnusable(Malformed):
    """A file given to a command does not hold what it should; the message names the file."""

    code = "file-unusable"


class KeyKindUnknown(Malformed):
    """No such kind of private key is made here."""

    code = "key-kind-unknown"


class TimeInvalid(Malformed):
    """What was given is no ISO 8601 time."""

    code = "time-invalid"


class AdapterUnknown(Malformed):
    """No protocol of this name is spoken here."""

    code = "adapter-unknown"


class ConfirmationWanted(Malformed):
    """Something is to be deleted and nobody can be asked."""

    code = "confirmation-wanted"


class StoryUnplayable(Malformed):
    """The configuration leaves out what the demonstration shows."""

    code = "story-unplayable"


class LoginUnusable(Malformed):
    """The file that a login is kept in is not what was written, or others may read it."""

    code = "login-unusable"


class LoginExpired(Unauthenticated):
    """The login that was kept is over."""

    code = "login-expired"


class GatewayUnreachable(Unavailable):
    """No gateway answers under the URL, or what answers is none that is trusted."""

    code = "gateway-unreachable"


class UrlInvalid(Malformed):
    """What was given is no URL of a gateway."""

    code = "url-invalid"


class NotLoggedIn(Unauthenticated):
    """A gateway elsewhere was named, and nothing that proves an operator there."""

    code = "not-logged-in"


class NotAllImported(Refused):
    """Some lines of a file could not be imported; the others were."""

    code = "not-all-imported"
