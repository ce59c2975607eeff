"""The ledger of promotions in MLflow's model registry: the versions of a second registered model `<name>.promotions`.

Their numbers are the one strictly ordered, unique counter a registry offers; what an entry says stands in its tags.
The alias `champion` is derived from the ledger, and set anew wherever it differs.
"""

from __future__ import annotations

import functools
import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from ostinato import ledger
from ostinato.artifacts import Model
from ostinato.context import current
from ostinato.errors import DataError, ParameterError, PermanentError, Unavailable, UnknownName
from ostinato.ledger import Champion, Entry, Ledger

from .mlflow_connection import connected, if_new

T = TypeVar("T")
Draft = Callable[[Ledger], Entry | str]

ALIAS = "champion"
SUFFIX = ".promotions"
_PREFIX = "ostinato."
_WRITTEN = "ostinato.entries"  # a tag of the registered model: the highest number given, so that the last is missed too
_PAGE = 1000
_TRIES = 12
_chance = random.SystemRandom()


def champion(name: str) -> Champion | None:
    """The champion of a model, None where nobody has promoted one; the alias is set to it if it names another.

    Raises:
        PermanentError: entries of the ledger are gone or were changed.
        Unavailable: the store does not answer.
    """
    found = sound(name)
    if not found.effective:
        return None
    return Champion(found.head, found.effective[-1].to, model_of(found))


def head(name: str) -> int:
    """The number of the ledger's last entry that counts, 0 for an empty ledger.

    Raises:
        PermanentError: entries of the ledger are gone or were changed.
    """
    return sound(name).head


def sound(name: str) -> Ledger:
    """The ledger of a model, if nothing is wrong with it; the alias is set to its champion if it names another."""
    found = read(name)
    if trouble := ledger.trouble(found):
        raise PermanentError(trouble)
    if found.effective and found.alias != found.champion:
        told = f"named version {found.alias}" if found.alias else "was gone"
        current().log(f"the alias {ALIAS} of {name!r} {told}; set to version {found.champion}, as the ledger says")
        sync(found)
    return found


def read(name: str) -> Ledger:
    """The ledger of a model as it is; an empty one where there is no such model."""
    return patiently(lambda client: _read(client, name))


def names() -> dict[str, int]:
    """The registered models and how many versions each has; also one that is gone and has left its ledger."""

    def listed(client: Any) -> dict[str, int]:
        found = [model.name for model in _paged(client.search_registered_models, max_results=100)]
        return {name: len(_versions(client, name)) for name in sorted({each.removesuffix(SUFFIX) for each in found})}

    return patiently(listed)


def versions(name: str) -> dict[str, dict[str, str]]:
    """What the versions of a model say of themselves, by number: the tags of ours.

    Raises:
        UnknownName: there is no such model.
    """

    def told(client: Any) -> dict[str, dict[str, str]] | None:
        return _versions(client, name) if _registered(client, name) is not None else None

    found = patiently(told)
    if found is None:
        raise UnknownName("model", name, names())
    return found


def model_of(found: Ledger) -> Model:
    """The champion's model as its entry describes it: a version's own tags can be edited."""
    version, told = found.effective[-1].to, dict(found.effective[-1].evidence)
    facts: dict[str, Any] = {"name": found.name, "version": version}
    window = {end: told[f"data_{end}"] for end in ("from", "until") if f"data_{end}" in told}
    facts |= {"window": window} if window else {}
    facts |= {fact: told[fact] for fact in ("files", "data", "estimator", "split") if fact in told}
    facts |= {fact: json.loads(told[fact]) for fact in ("features", "size", "rows", "positives") if fact in told}
    return Model(f"models:/{found.name}/{version}", told.get("model", ""), facts)


def append(name: str, key: str, draft: Draft, *, to: str | None = None) -> Entry | str:
    """Write the entry that `draft` makes of the ledger, and let the alias follow.

    Whoever else writes meanwhile, the entry counts, or a sentence says why it does not. Asked again with the same key
    (and version `to`, where one is given) the entry that was written is returned.

    Args:
        draft: makes the entry, or the sentence that says what stands against it.

    Raises:
        PermanentError: entries of the ledger are gone or were changed, and the draft does not mend them.
        DataError: there is no such version.
        Unavailable: the store does not answer, or too many write at once. Nothing was promoted, or a further call with
            the same key finds the entry.
    """
    seen: Ledger | None = None
    for attempt in range(1, _TRIES):
        found = read(name)
        wanted = draft(found)
        mends = isinstance(wanted, Entry) and wanted.kind == "mend"
        if not mends and (trouble := ledger.trouble(found)):
            raise PermanentError(trouble)
        if earlier := found.earlier(key, to):
            sync(found)
            return earlier
        if seen is not None and found.head != seen.head:
            return ledger.overtaken(found)
        if isinstance(wanted, str):
            return wanted
        seen = found
        number = _written(found, wanted, attempt)
        if number is None:
            continue
        now = patiently(functools.partial(_continued, found=found))
        if now.counts(number):
            sync(now)
            return replace(wanted, number=number)
    if earlier := read(name).earlier(key, to):
        return earlier
    raise Unavailable(f"The ledger of {name!r} is written by too many at once; nothing was promoted. Try again.")


def _written(found: Ledger, entry: Entry, attempt: int) -> int | None:
    """The number an entry was given; None where the store was busy, and nobody knows whether it was written."""
    try:
        with connected(current().workspace) as client:
            if if_there(client.get_model_version, found.name, entry.to) is None:
                raise DataError(f"There is no version {entry.to} of {found.name!r}.")
            if not found.entries:
                if_new(client.create_registered_model, found.name + SUFFIX)
            tags = {_PREFIX + name: value for name, value in {**entry.tags(), "hash": entry.hash}.items()}
            source = f"models:/{found.name}/{entry.to}"
            line = client.create_model_version(found.name + SUFFIX, source, tags=tags, await_creation_for=None)
            return int(line.version)
    except Exception as error:
        if not _crowded(error):
            raise
        _wait(attempt)
        return None


def sync(found: Ledger) -> Ledger:
    """Let the alias name the champion, however often it changes meanwhile; a version that is gone cannot be named."""

    def named(client: Any) -> Ledger:
        latest = found
        while latest.champion is not None:
            _name_champion(client, latest)
            newer = _continued(client, latest)
            if newer.head == latest.head:
                _remember(client, newer)
                break
            latest = newer
        return latest

    return patiently(named)


# --- reading ------------------------------------------------------------------------------------------------------


def _read(client: Any, name: str) -> Ledger:
    model = _registered(client, name)
    alias = model.aliases.get(ALIAS) if model is not None else None
    written = model.tags.get(_WRITTEN, "0") if model is not None else "0"
    return ledger.fold(
        name,
        _entries(client, name, after=0),
        written=int(written) if written.isdecimal() else 0,
        alias=None if alias is None else str(alias),
    )


def _continued(client: Any, found: Ledger) -> Ledger:
    """The ledger with what was added since it was read."""
    added = _entries(client, found.name, after=found.last)
    return ledger.fold(found.name, [*found.entries, *added], written=found.written, alias=found.alias)


def _entries(client: Any, name: str, after: int) -> list[Entry]:
    wanted = f"name = {quoted(name + SUFFIX)} AND version_number > {after}"
    return [Entry.read(int(line.version), _ours(line.tags)) for line in _lines(client, wanted)]


def _versions(client: Any, name: str) -> dict[str, dict[str, str]]:
    return {str(line.version): _ours(line.tags) for line in _lines(client, f"name = {quoted(name)}")}


def _lines(client: Any, wanted: str) -> Iterator[Any]:
    ordered = functools.partial(client.search_model_versions, wanted, order_by=["version_number ASC"])
    return _paged(ordered, max_results=_PAGE)


def _paged(ask: Callable[..., Any], **options: Any) -> Iterator[Any]:
    page = ask(**options)
    yield from page
    while page.token:
        page = ask(**options, page_token=page.token)
        yield from page


def _registered(client: Any, name: str) -> Any:
    return if_there(client.get_registered_model, name)


def _ours(tags: Mapping[str, str]) -> dict[str, str]:
    return {key.removeprefix(_PREFIX): value for key, value in tags.items() if key.startswith(_PREFIX)}


def quoted(name: str) -> str:
    """A name as it stands in a filter.

    Raises:
        ParameterError: it has quotes of both kinds.
    """
    if "'" not in name:
        return f"'{name}'"
    if '"' in name:
        raise ParameterError(f"A model's name cannot have quotes of both kinds: {name!r}.")
    return f'"{name}"'


# --- writing ------------------------------------------------------------------------------------------------------


def _name_champion(client: Any, found: Ledger) -> None:
    if if_there(client.set_registered_model_alias, found.name, ALIAS, found.champion, gone=_GONE) is _GONE:
        current().log(f"version {found.champion} of {found.name!r}, the champion by the ledger, is gone from the store")


def _remember(client: Any, found: Ledger) -> None:
    """Keep the last number beside the model: were that entry removed, no gap would show it."""
    if found.last > found.written and _registered(client, found.name) is not None:
        client.set_registered_model_tag(found.name, _WRITTEN, str(found.last))


_GONE = object()


def if_there(ask: Callable[..., Any], *arguments: Any, gone: Any = None) -> Any:
    """What the store answers about a thing, `gone` where there is no such thing."""
    from mlflow.exceptions import MlflowException

    try:
        return ask(*arguments)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return gone


# What a database says when several write at once; MLflow gives up a version number after three tries.
_CROWDED = re.compile(
    r"database (table )?is locked|deadlock|could not serialize|Giving up after \d+ attempts|too many 50\d error"
    r"|UNIQUE constraint failed|duplicate key|Duplicate entry",
    re.IGNORECASE,
)


def _crowded(error: BaseException | None) -> bool:
    while error is not None:
        if _CROWDED.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def patiently(work: Callable[[Any], T]) -> T:
    """Work with the store, again and again while others keep it busy; what is asked of it must bear repetition."""
    for attempt in range(1, _TRIES):
        try:
            with connected(current().workspace) as client:
                return work(client)
        except Exception as error:
            if not _crowded(error):
                raise
        _wait(attempt)
    with connected(current().workspace) as client:
        return work(client)


def _wait(attempt: int) -> None:
    """A while that is another one for each of those who collided."""
    time.sleep(_chance.uniform(0.02, 0.1) * 2 ** min(attempt, 4))
