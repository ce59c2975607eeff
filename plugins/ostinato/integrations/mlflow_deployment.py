"""A registered version put where it serves: a bundle, a folder that `mlflow models serve` runs, or another target.

`<workspace>/bundles/<name>/7` holds the files of version 7, whole and never changed. `current` and `previous` beside it
are relative symlinks, each replaced in one call, so a reader finds a whole bundle whatever happens to who deploys.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ostinato.artifacts import Model, digest_of
from ostinato.context import current
from ostinato.errors import ConfigurationError, ContractError, DataError, ParameterError
from ostinato.workspace import Workspace, whole

from . import mlflow_ledger, mlflow_smoke, mlflow_targets
from .mlflow_connection import connected
from .mlflow_models import digest_of_files, fetch, fetched

BUNDLE = "bundle"
KEEP = 3  # bundles of a model, beside those that are pointed to


def deploy(
    model: Model, target: str = BUNDLE, options: Mapping[str, Any] = {}, *, champion_only: bool = False
) -> dict[str, Any]:
    """Put a registered version where it serves, after it has answered its recorded rows as it did when it was logged.

    Args:
        target: `bundle`, or a target of `mlflow.deployments`.
        options: that target's own configuration.
        champion_only: leave things as they are where the ledger has another champion by now.

    Returns:
        The facts of a `Deployment`, and `already` where that version was there before.

    Raises:
        ContractError: the model is not registered, or does not answer as recorded; nothing has changed.
        DataError: its files are not those on record; nothing has changed.
        ConfigurationError: the workspace is remote and the target a bundle.
        ParameterError: nobody knows the target, or a bundle was given options.
    """
    name, version = pinned(model)
    if options and target == BUNDLE:
        raise ParameterError(f"A bundle has no options: not {', '.join(map(repr, options))}.")
    workspace = current().workspace
    facts = {"deployed": True, "target": target, "name": name, "version": version}
    with _alone(_lock_of(workspace, name, target)):
        champion = mlflow_ledger.champion(name) if champion_only else None
        if champion is not None and champion.version != version:
            return not_deployed(name, version, target, f"version {champion.version} is the champion by now")
        files = _files_on_record(model, name, version)
        if target == BUNDLE:
            return {**facts, **_to_bundle(workspace, name, version, files)}
        with fetched(f"models:/{name}/{version}", files, "deploying") as folder:
            return {**facts, **mlflow_targets.deploy(target, name, version, folder, options)}


def not_deployed(name: str, version: str, target: str | None, why: str) -> dict[str, Any]:
    """The facts of a `Deployment` that did not come about; `previous` is the version in place, which serves on."""
    there = deployed(name) if target == BUNDLE else None
    facts = {"deployed": False, "target": target, "name": name, "version": version, "place": None, "why": why}
    return {**facts, "previous": there and there["version"]}


def follow(name: str, version: str) -> dict[str, Any] | None:
    """Where a bundle of a model is deployed, put its new champion in place; None where there is no bundle.

    Raises:
        ContractError, DataError: as `deploy`; the bundle is as it was.
    """
    if deployed(name) is None:
        return None
    return deploy(Model(f"models:/{name}/{version}", ""), champion_only=True)


def deployed(name: str) -> dict[str, Any] | None:
    """The bundle that is in place: `{target, name, version, place, previous}`; None where there is none."""
    workspace = current().workspace
    if workspace.remote:
        return None
    folder = bundles(workspace, name)
    slot = _pointed(folder, "current")
    if slot is None:
        return None
    version = _version_in(slot)
    return {"target": BUNDLE, "name": name, "version": version, **_places(folder, version)}


def serve_command(place: str) -> str:
    """What to type to serve a bundle."""
    return f"mlflow models serve -m {shlex.quote(place)} --env-manager local"


def pinned(model: Model) -> tuple[str, str]:
    """Name and number of a registered version.

    Raises:
        ContractError: the reference is to a logged model, or to an alias.
    """
    name, _, version = model.uri.removeprefix("models:/").rpartition("/")
    if not name or not version.isdecimal():
        raise ContractError(
            f"Only a registered version is deployed, models:/name/7: not {model.uri}. Register it first."
        )
    return name, version


# --- files --------------------------------------------------------------------------------------------------------


def _files_on_record(model: Model, name: str, version: str) -> str:
    """The digest of a version's files, on which the ledger, its tags and the reference must agree."""
    uri = f"models:/{name}/{version}"
    with connected(current().workspace) as client:
        found = mlflow_ledger.if_there(client.get_model_version, name, version)
    if found is None:
        raise DataError(f"{uri} is not in the model store.")
    entries = [entry for entry in mlflow_ledger.sound(name).effective if entry.to == version]
    told = {f"entry {entry.number} of the ledger": entry.evidence.get("files") for entry in entries}
    told |= {"its tag": found.tags.get("ostinato.files"), "the reference": model.facts.get("files")}
    known = {where: digest for where, digest in told.items() if digest}
    if not known:
        raise DataError(f"{uri} has no digest of its files on record, so it is not deployed.")
    if len(set(known.values())) > 1:
        listed = ", ".join(f"{where} says {digest[:19]}…" for where, digest in known.items())
        raise DataError(f"It is not certain which files {uri} has, so it is not deployed: {listed}.")
    return next(iter(known.values()))


# --- bundles ------------------------------------------------------------------------------------------------------


def bundles(workspace: Workspace, name: str) -> Path:
    """The folder of a model's bundles."""
    return Path(workspace.home, "bundles", _file_name(name))


def _file_name(name: str) -> str:
    """A model's name as that of one folder: odd characters as `=20`, no dot in front, not too long.

    Not as `%20`: MLflow takes that in a path for a space.
    """
    safe = quote(name, safe="").replace("%", "=")
    safe = f"=2E{safe[1:]}" if safe.startswith(".") else safe
    return safe if len(safe) <= 150 else f"{safe[:150]}={digest_of(name)[7:19]}"


def _to_bundle(workspace: Workspace, name: str, version: str, files: str) -> dict[str, Any]:
    folder = bundles(workspace, name)
    for pointer in ("current", "previous"):
        _require_link(folder / pointer)
    _tidy(folder)
    before, slot = _pointed(folder, "current"), _whole_one(folder, version, files)
    already = slot is not None and slot == before
    if not already:
        slot = _tried_out(folder, name, version, files, slot)
        if before is not None and _version_in(before) != version:
            _point(folder, "previous", before)  # first: killed between the two, the next deployment does the same again
        _point(folder, "current", slot)
    _prune(folder)
    return {**_places(folder, version), "already": already}


def _tried_out(folder: Path, name: str, version: str, files: str, kept: str | None) -> str:
    """The slot of a version that answers as recorded: the one that was kept, or one whose files are fetched."""
    who = f"Version {version} of {name!r}"
    if kept is not None:
        mlflow_smoke.try_out(folder / kept, who)
        return kept
    slot = _free_slot(folder, version)
    with whole(f"{folder}/{slot}") as part:
        part.mkdir()
        fetch(f"models:/{name}/{version}", files, part)
        mlflow_smoke.try_out(part, who)
    return slot


def _places(folder: Path, version: str) -> dict[str, Any]:
    before = _pointed(folder, "previous")
    previous = None if before is None or _version_in(before) == version else _version_in(before)
    return {"place": str(folder / "current"), "previous": previous}


def _whole_one(folder: Path, version: str, files: str) -> str | None:
    """The slot that has a version's files as they are on record, the one in place first."""
    slots = sorted(_slots(folder, version), key=lambda slot: slot != _pointed(folder, "current"))
    return next((slot for slot in slots if digest_of_files(folder / slot)[0] == files), None)


def _free_slot(folder: Path, version: str) -> str:
    """A name for a version's bundle; a damaged one that somebody may be reading keeps its name."""
    names = itertools.chain([version], (f"{version}.{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in _in_use(folder))


def _slots(folder: Path, version: str | None = None) -> list[str]:
    found = (path.name for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    return [name for name in found if re.fullmatch(r"\d+(\.\d+)?", name) and version in (None, _version_in(name))]


def _version_in(slot: str) -> str:
    return slot.split(".")[0]


def _in_use(folder: Path) -> set[str | None]:
    return {_pointed(folder, "current"), _pointed(folder, "previous")}


def _pointed(folder: Path, pointer: str) -> str | None:
    """The slot a pointer names; None where it names none that is there."""
    try:
        slot = Path(os.readlink(folder / pointer)).name  # one set by hand may be absolute
    except OSError:
        return None
    return slot if (folder / slot).is_dir() else None


def _point(folder: Path, pointer: str, slot: str) -> None:
    """Let a pointer name a slot, in one call."""
    part = folder / f".{pointer}.part"
    part.symlink_to(slot)
    os.replace(part, folder / pointer)


def _require_link(pointer: Path) -> None:
    if pointer.exists() and not pointer.is_symlink():
        raise ConfigurationError(f"{pointer} should be a symlink to a version's bundle. Move what is there away.")


def _prune(folder: Path) -> None:
    """Remove the oldest versions' bundles; never those that are pointed to."""
    others = [slot for slot in _slots(folder) if slot not in _in_use(folder)]
    newest = sorted(others, key=lambda slot: [int(part) for part in slot.split(".")], reverse=True)
    for slot in newest[KEEP:]:
        _remove(folder, slot)


def _remove(folder: Path, slot: str) -> None:
    """Take a bundle away whole: a half that bears a version's name could be taken for one."""
    os.replace(folder / slot, gone := folder / f".{slot}.gone.part")
    shutil.rmtree(gone)


def _tidy(folder: Path) -> None:
    """Remove what a killed deployer left half-made; whoever has the lock is alone here."""
    for left in folder.glob(".*.part"):
        if left.is_symlink():
            left.unlink()
        else:
            shutil.rmtree(left)


def _lock_of(workspace: Workspace, name: str, target: str) -> Path:
    if target != BUNDLE:
        return workspace.scratch() / f"deploying-{_file_name(name)}.lock"
    if workspace.remote:
        raise ConfigurationError(
            f"A bundle is a folder on a disk that a server reads, and the workspace {workspace.home} is remote. "
            "Deploy to a target of mlflow.deployments, or set OSTINATO_HOME to a folder."
        )
    return bundles(workspace, name) / ".lock"


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One deployer of a model at a time; the others wait."""
    import fcntl

    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
