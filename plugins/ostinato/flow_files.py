"""Flow files and `prefect.yaml`, as Prefect loads them but with its errors shown: in a process of their own."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import suggest
from .flow_deployments import NotRead, Problem, Use, problems, read
from .separate import answer

Said = tuple[str, bool, str]  # what was looked at, whether it is well, and a sentence
_LOOK = "from ostinato.flow_loading import look; said = look(**asked)"


def check(files: Sequence[Path], plans: Sequence[Path], folder: Path) -> Iterator[Said]:
    """Each flow of `files`, and each `prefect.yaml` of `plans` with the flows that it deploys.

    Prefect starts where its `prefect.yaml` lies; files that have none above them are loaded from `folder`.
    """
    own = {plan.parent: plan for plan in plans}
    beside: dict[Path, list[Path]] = {place: [] for place in own}
    for file in files:
        place = next((parent for parent in file.parents if parent in own), folder)
        beside.setdefault(place, []).append(file)
    for place, there in sorted(beside.items()):
        try:
            if place in own:
                yield from _planned(place, there, own[place])
            else:
                yield from _flows(there, _looked(place, there, [])["files"], None)
        except RuntimeError as error:
            yield str(place), False, f"Prefect cannot load flow files here: {error}"


def count(number: int, noun: str) -> str:
    """`1 flow`, `2 flows`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _planned(folder: Path, files: Sequence[Path], plan: Path) -> Iterator[Said]:
    """The flows of the files, those that a `prefect.yaml` deploys besides, and what is wrong with that, by line."""
    try:
        uses, wrong = read(plan)
    except NotRead as error:
        uses, wrong = [], [(error.line, str(error))]
    lost = [use for use in uses if (file := _file(folder, use)) and not file.is_file()]
    wrong += [(use.line, _gone(folder, use)) for use in lost if not use.part]
    uses = [use for use in uses if use not in lost]
    ours = {file.resolve() for file in files}
    others = sorted({file for use in uses if (file := _file(folder, use)) and file.resolve() not in ours})
    found = _looked(folder, [*files, *others], uses)
    judged = list(zip(uses, found["entrypoints"], strict=True))
    deployed = Counter(tuple(each["at"]) for use, each in judged if "at" in each and not use.part)
    yield from _flows(files, found["files"], deployed)
    yield from _flows(others, found["files"], deployed, own=False)
    wrong += [problem for use, each in judged for problem in _judged(use, each)]
    for line, said in sorted(dict.fromkeys(wrong), key=lambda problem: problem[0] or 0):
        yield f"{plan}:{line}" if line else str(plan), False, said
    if not wrong:
        yield str(plan), True, count(sum(not use.part for use in uses), "deployment")


def _file(folder: Path, use: Use) -> Path | None:
    """The file of an entrypoint, unless that names a module."""
    file = use.entrypoint.rpartition(":")[0]
    return folder / file if file.endswith(".py") else None


def _gone(folder: Path, use: Use) -> str:
    file = use.entrypoint.rpartition(":")[0]
    near = suggest(file, [str(each.relative_to(folder)) for each in (folder / file).parent.glob("*.py")], most=10)
    return f"{use.called}: there is no file {file} in {folder}. {near}"


def _looked(folder: Path, files: Sequence[Path], uses: Sequence[Use]) -> Mapping[str, Any]:
    asked = {
        "folder": str(folder.resolve()),
        "files": [str(file.resolve()) for file in files],
        "uses": [(use.entrypoint, use.settled) for use in uses],
    }
    with tempfile.TemporaryDirectory(prefix="ostinato-") as home:
        found: Mapping[str, Any] = answer(_LOOK, asked, path=[], environment=_environment(home))
    return found


def _environment(home: str) -> dict[str, str]:
    """The caller's Prefect; where there is none yet, a passing one instead of a new folder in the home directory."""
    own = {} if Path("~/.prefect").expanduser().is_dir() else {"PREFECT_HOME": home}
    return {**own, **os.environ, "DO_NOT_TRACK": "1"}


def _flows(
    files: Sequence[Path], found: Mapping[str, Any], deployed: Mapping[Any, int] | None, *, own: bool = True
) -> Iterator[Said]:
    """A file's flows, with the number of their deployments where these are known, or why it has none."""
    for file in files:
        path = str(file.resolve())
        if "error" in found[path]:
            line = found[path]["line"]
            yield f"{file}:{line}" if line else str(file), False, found[path]["error"]
        elif not found[path]["flows"] and own:
            yield str(file), False, "makes no flow that Prefect finds: write name = to_flow(…) at its top level"
        for name, flow in found[path]["flows"].items():
            said = f"flow {flow['name']}, {count(len(flow['schema']['properties']), 'parameter')}"
            if deployed is not None:
                said += f", {count(deployed.get((path, name), 0), 'deployment')}"
            function = flow["function"]
            if name != function:
                said = f"its function is called {function}, by which serve() and to_deployment() look for it here"
                said += f": write {function} = to_flow(…)" if function.isidentifier() else ": move it to the top level"
            yield f"{file}:{name}", name == function, said


def _judged(use: Use, found: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with a use; what is wrong with its flow is said once, by the deployment."""
    if "flow" in found:
        yield from problems(use, found["flow"]["schema"], found["refused"])
    elif use.part:
        return
    elif "error" in found:
        yield use.line, f"{use.called}: {use.entrypoint} cannot be loaded: {found['error']}"
    else:
        place, _, name = use.entrypoint.rpartition(":" if ":" in use.entrypoint else ".")
        what = f"is a {found['is']}, no flow" if found["is"] else f"is not there. {suggest(name, found['known'])}"
        yield use.line, f"{use.called}: {name} in {place} {what}"
