"""Errors: whether a retry may help is in the type, and the message says what to write instead."""

from __future__ import annotations

import errno
import pickle

import pytest
import sqlalchemy.exc
import urllib3.exceptions
from hypothesis import given
from hypothesis import strategies as st

from ostinato import errors
from ostinato.errors import (
    DataError,
    MissingPackage,
    OstinatoError,
    PermanentError,
    StepLost,
    StepTimedOut,
    TransientError,
    Unavailable,
    UnknownName,
    UsageError,
    is_transient,
    suggest,
)

ALL = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, OstinatoError)]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_is_in_the_tree_of_the_docstring_with_a_sentence(kind: type[OstinatoError]) -> None:
    """The drawn tree is the whole tree, and every error explains itself."""
    assert kind.__name__ in (errors.__doc__ or "")
    assert (kind.__doc__ or "").rstrip().endswith(".")


@pytest.mark.parametrize("kind", set(ALL) - {OstinatoError}, ids=lambda kind: kind.__name__)
def test_every_error_is_either_permanent_or_transient(kind: type[OstinatoError]) -> None:
    """An engine never has to guess about an error of ours."""
    assert issubclass(kind, PermanentError) != issubclass(kind, TransientError)


def test_an_unknown_name_comes_with_the_nearest_and_the_list() -> None:
    """`Did you mean` first, then what is valid."""
    error = UnknownName("column", "amout", ["card", "amount"])
    assert str(error) == "Unknown column 'amout'. Did you mean 'amount'? Valid: 'card', 'amount'."
    assert isinstance(error, UsageError)


def test_a_name_near_nothing_gets_the_list_alone() -> None:
    """A far-fetched suggestion misleads."""
    assert suggest("zzzz", ["card", "amount"]) == "Valid: 'card', 'amount'."
    assert suggest("zzzz", []) == "Valid: none."


def test_the_nearest_name_is_found_whatever_its_case() -> None:
    """`TX_AMOUNT` is near `tx_amount`."""
    assert "Did you mean 'TX_AMOUNT'?" in suggest("tx_amont", ["TX_AMOUNT"])


def test_a_long_list_of_names_is_cut() -> None:
    """A table of a thousand columns does not fill the screen."""
    assert suggest("x", [f"c{n}" for n in range(1000)]).endswith("'c19' and 980 more.")


@given(st.text(), st.lists(st.text()))
def test_a_suggestion_is_always_one_of_the_valid_names(name: str, valid: list[str]) -> None:
    """Whatever the names are, looking for the nearest neither fails nor invents one."""
    hint, _, _ = suggest(name, valid).partition("Valid:")
    assert not hint or any(hint == f"Did you mean {known!r}? " for known in valid)


def test_a_missing_package_says_what_to_install() -> None:
    """The line can be pasted into a shell."""
    assert 'pip install "ostinato[lightgbm]"' in str(MissingPackage("lightgbm", "lightgbm"))


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("busy"),
        StepTimedOut("too long"),
        StepLost("killed"),
        ConnectionResetError(),
        TimeoutError(),
        OSError(errno.EAGAIN, "again"),
        sqlalchemy.exc.OperationalError("SELECT 1", {}, Exception("database is locked")),
        urllib3.exceptions.ReadTimeoutError(None, "http://x", "slow"),  # type: ignore[arg-type]
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_later_try_may_cure_is_transient(error: Exception) -> None:
    """Ours by their type, the standard library's by kind, other libraries' by name."""
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [DataError("bad"), UsageError("wrong"), ValueError("bug"), OSError(errno.ENOENT, "gone"), MemoryError()],
    ids=lambda error: type(error).__name__,
)
def test_what_would_fail_again_is_not_transient(error: Exception) -> None:
    """An unknown error is a programming error."""
    assert not is_transient(error)


def test_looking_up_libraries_errors_imports_no_library() -> None:
    """A class of the same name in another module is another class."""
    impostor = type("OperationalError", (Exception,), {"__module__": "mine"})
    assert not is_transient(impostor())


@pytest.mark.parametrize("error", [UnknownName("run", "x", ["y"]), MissingPackage("kfp", "kubeflow"), DataError("bad")])
def test_an_error_crosses_processes_whole(error: OstinatoError) -> None:
    """Engines pickle what a task raises; the message, the type and the notes come out on the other side."""
    error.add_note("in step train")
    other = pickle.loads(pickle.dumps(error))
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert other.__notes__ == ["in step train"]
