"""Where ostinato lies, whether it lies there once, and whether what it needs is there too."""

from __future__ import annotations

import os
import re
import sys
from importlib import metadata
from pathlib import Path

from . import __version__

# pyproject.toml's list once more: a folder that was dropped in has no metadata to read it from.
NEEDS = (
    "alembic>=1.13,<2",
    "annotated-types>=0.7",
    "duckdb>=2,<3",
    "fsspec>=2026.1",
    "great-expectations>=1.24,<2",
    "jsonschema>=4.23",
    "matplotlib>=3.10",
    "mlflow-skinny>=3.17,<4",
    "pandas>=2.2,<4",
    "pyarrow>=18",
    "pydantic>=2.12,<3",
    "python-dotenv>=1.1",
    "rich>=14",
    "ruamel.yaml>=0.18.10",
    "scikit-learn>=1.6,<2",
    "skops>=0.16",
    "slack-sdk>=3.40,<4",
    "sqlalchemy>=2.0.44,<3",
    "typer>=0.20",
)
AIRFLOW = "apache-airflow-core"
PREFECT = "prefect"
FASTAPI = "0.151"  # the first that Prefect's own bounds ought to exclude, and those of 3.8 do not
LIVE = Path(__file__).resolve().parent


def version_of(distribution: str) -> str | None:
    """The installed version, or None; nothing is imported."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def described() -> str:
    """Which ostinato this is, and where."""
    installed = version_of("ostinato")
    return f"ostinato {installed or f'{__version__}, a folder that was dropped in'} at {LIVE}"


def doubled() -> str | None:
    """A folder that was dropped in and an installed wheel shadow each other: what to remove, if there are two."""
    others = sorted(_copies() - {LIVE})
    installed, dropped = version_of("ostinato"), _dropped_in()
    if others:
        named = " and ".join(f"ostinato {_version_in(copy)} at {copy}" for copy in others)
        folder = f"delete {dropped or others[0]} and the ostinato_airflow_plugin.py beside it"
        remedy = f"{folder}, or `pip uninstall ostinato`" if installed else folder
        return f"ostinato {__version__} at {LIVE} is live, and there is {named}: {remedy}."
    if dropped == LIVE and installed and version_of(AIRFLOW):
        twice = f"{LIVE} lies in Airflow's plugins folder and is installed as well: Airflow meets its plugin twice"
        return f"{twice}. `pip uninstall ostinato`, or set another plugins folder."
    return None


def unguarded() -> str | None:
    """A copy by *.py loses the file that keeps Airflow from running the whole package as plugins."""
    for copy in (_dropped_in() or LIVE, LIVE):
        ignored = copy / ".airflowignore"
        if not ignored.is_file():
            said = f"{copy} has no .airflowignore, so Airflow runs every file in it as a plugin"
            return rf"{said}: printf '*\n.*\n' > {ignored}"
    return None


def unmet() -> str | None:
    """Every package that is missing or has the wrong version, and the line that installs them."""
    said, wanted = [], []
    for need in NEEDS:
        name = need.partition(">=")[0]
        version = version_of(name)
        if version is None or not _fits(version, need):
            said.append(f"{name} is {'not installed' if version is None else version}")
            wanted.append(f'"{need}"')
    return f"{', '.join(said)}. Run: pip install {' '.join(wanted)}" if said else None


def prefect_unfit() -> str | None:
    """Where Prefect is installed, a FastAPI too new for its server; `prefect version` does not notice."""
    prefect, fastapi = version_of(PREFECT), version_of("fastapi")
    if prefect is None or fastapi is None or _release(fastapi) < _release(FASTAPI):
        return None
    said = f"Prefect {prefect} runs with fastapi below {FASTAPI}, and {fastapi} is installed: its server may not start"
    return f'{said}. Run: pip install "fastapi<{FASTAPI}"'


def _fits(version: str, need: str) -> bool:
    """By the numbers of the release: `packaging`, which knows all of it, may be missing too."""
    lowest, _, below = need.partition(">=")[2].partition(",<")
    return _release(lowest) <= _release(version) and not (below and _release(version) >= _release(below))


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.split(r"[^\d.]", version)[0].strip(".").split("."))


def _copies() -> set[Path]:
    """Every ostinato on the path or in Airflow's plugins folder; a workspace or a checkout may be called so as well."""
    places = {Path(entry or ".", "ostinato").resolve() for entry in sys.path}
    return {place for place in places | {LIVE, _dropped_in() or LIVE} if _is_copy(place)}


def _is_copy(place: Path) -> bool:
    return (place / "graph.py").is_file()


def _dropped_in() -> Path | None:
    """The copy in Airflow's plugins folder, if there is one."""
    home = Path(os.environ.get("AIRFLOW_HOME") or "~/airflow")
    folder = Path(os.environ.get("AIRFLOW__CORE__PLUGINS_FOLDER") or home / "plugins").expanduser()
    place = (folder / "ostinato").resolve()
    return place if _is_copy(place) else None


def _version_in(copy: Path) -> str:
    start = copy / "__init__.py"
    found = re.search(r'^__version__ = "(.+)"$', start.read_text() if start.is_file() else "", re.MULTILINE)
    return found[1] if found else "of an unknown version"
