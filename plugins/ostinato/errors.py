"""Everything ostinato raises. Whether a failure is worth retrying is in its type.

OstinatoError
├── PermanentError            retrying cannot help
│   ├── UsageError            the caller must write something else (exit code 2)
│   │   ├── PipelineError     the pipeline function does what tracing cannot follow
│   │   ├── ParameterError    a parameter is unknown, missing or of the wrong type
│   │   ├── UnknownName       a name that is in no list
│   │   ├── MissingPackage    an optional dependency is not installed
│   │   └── ConfigurationError  environment, workspace or records cannot be used as configured
│   ├── DataError             the data is not what the step needs
│   │   └── ValidationFailed  a table does not meet its suite
│   ├── RuleBroken            a rule of a suite could not be evaluated: neither met nor failed
│   └── ContractError         a step broke a promise: wrong type, too large a result, not JSON
└── TransientError            the engine may try again
    ├── Unavailable           a service did not answer or was busy
    ├── StepTimedOut          the step did not end in its time and was killed
    └── StepLost              the process of the step died
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from typing import Any


class OstinatoError(Exception):
    """The root: `except OstinatoError` catches all that is ours.

    `evidence` may be a reference (JSON) to what a person will want to look at; it is recorded with the error.
    """

    evidence: dict[str, Any] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), *self.args), self.__dict__


def _again(kind: type[OstinatoError], *args: Any) -> OstinatoError:
    """An error as another process gets it: its message is made already, so `__init__` is left out."""
    return kind.__new__(kind, *args)


class PermanentError(OstinatoError):
    """Retrying cannot help."""


class TransientError(OstinatoError):
    """The same call may succeed later; the engine retries it as often as the step allows."""


class UsageError(PermanentError):
    """The caller must write something else; the command line exits with 2."""


class PipelineError(UsageError):
    """The pipeline function does what tracing cannot follow."""


class ParameterError(UsageError):
    """A parameter is unknown, missing or of the wrong type."""


class UnknownName(UsageError):
    """A name that is in no list; the message carries the list and the nearest entry."""

    def __init__(self, what: str, name: str, valid: Iterable[str]) -> None:
        super().__init__(f"Unknown {what} {name!r}. {suggest(name, valid)}")


class MissingPackage(UsageError):
    """An optional dependency is needed now and not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f'{package} is not installed. Write: pip install "ostinato[{extra}]"')


class ConfigurationError(UsageError):
    """Environment, workspace or records cannot be used as configured."""


class DataError(PermanentError):
    """The data is not what the step needs."""


class ValidationFailed(DataError):
    """A table does not meet its suite."""


class RuleBroken(PermanentError):
    """A rule of a suite could not be evaluated, so nobody knows whether the table meets it."""


class ContractError(PermanentError):
    """A step broke a promise: a wrong type, too large a result, something that is not JSON."""


class Unavailable(TransientError):
    """A service did not answer or was busy."""


class StepTimedOut(TransientError):
    """The step did not end in its time and was killed."""


class StepLost(TransientError):
    """The process of the step died under it: killed, out of memory, crashed."""


def suggest(name: str, valid: Iterable[str], *, most: int = 20) -> str:
    """`Did you mean 'amount'? Valid: 'amount', 'card'.`; long lists are cut after `most` names, or left out at 0."""
    names = list(dict.fromkeys(valid))
    folded = {known.casefold(): known for known in names}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    hint = f"Did you mean {folded[close[0]]!r}? " if close else ""
    if most == 0:
        return hint.rstrip()
    listed = ", ".join(repr(known) for known in names[:most])
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{hint}Valid: {listed or 'none'}{more}."


# Libraries' own errors that a later try may cure, by name: looking them up must not import the libraries.
_TRANSIENT_NAMES = frozenset(
    {
        "sqlalchemy.exc.OperationalError",
        "sqlalchemy.exc.InterfaceError",
        "sqlalchemy.exc.TimeoutError",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.Timeout",
        "urllib3.exceptions.HTTPError",
        "httpx.TransportError",
        "botocore.exceptions.ConnectionError",
        "botocore.exceptions.HTTPClientError",
    }
)
_TRANSIENT_ERRNO = frozenset({errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.ETIMEDOUT, errno.ECONNRESET, errno.ESTALE})


def is_transient(error: BaseException) -> bool:
    """Whether trying again may help. Unknown errors are programming errors: no."""
    if isinstance(error, OstinatoError):
        return isinstance(error, TransientError)
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    if isinstance(error, OSError) and error.errno in _TRANSIENT_ERRNO:
        return True
    return any(f"{kind.__module__}.{kind.__qualname__}" in _TRANSIENT_NAMES for kind in type(error).__mro__)
