"""Where things lie: the workspace folder or URL, and how a file gets into it whole or not at all."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from .errors import ConfigurationError

DEFAULT_HOME = ".ostinato"


def is_remote(url: str) -> bool:
    """Whether `url` names something other than a path on this machine's disk."""
    return "://" in url and not url.startswith("file://")


def public(text: str) -> str:
    """A text without the credentials of the URLs in it."""
    return re.sub(r"(\w://)[^/@\s]*@", r"\1***@", text)


def presentable(value: Any) -> Any:
    """A JSON value whose texts hold no credentials of URLs."""
    if isinstance(value, dict):
        return {key: presentable(part) for key, part in value.items()}
    if isinstance(value, list):
        return [presentable(part) for part in value]
    return public(value) if isinstance(value, str) else value


def local_path(url: str) -> Path:
    """The path behind a plain path or a `file://` URL."""
    return Path(unquote(urlsplit(url).path)) if url.startswith("file://") else Path(url).expanduser()


@dataclass(frozen=True)
class Workspace:
    """A folder, or any fsspec URL, that holds runs, and by default the records and MLflow's database.

    `OSTINATO_HOME` names it (default `.ostinato/`); `OSTINATO_RECORDS` and `MLFLOW_TRACKING_URI` win over the
    databases inside it and are required where it is remote.
    """

    home: str

    @classmethod
    def here(cls, home: str | os.PathLike[str] | None = None) -> Workspace:
        """The workspace named by `home`, else by `OSTINATO_HOME`, else `.ostinato/` below the current folder."""
        chosen = os.fspath(home) if home is not None else os.environ.get("OSTINATO_HOME") or DEFAULT_HOME
        if is_remote(chosen):
            return cls(chosen.rstrip("/"))
        return cls(str(local_path(chosen).absolute()))

    @property
    def remote(self) -> bool:
        return is_remote(self.home)

    @property
    def records_url(self) -> str:
        return self._database("OSTINATO_RECORDS", "records.db")

    @property
    def tracking_uri(self) -> str:
        return self._database("MLFLOW_TRACKING_URI", "mlflow.db")

    def _database(self, variable: str, name: str) -> str:
        if given := os.environ.get(variable):
            return given
        if self.remote:
            raise ConfigurationError(
                f"The workspace {self.home} is remote, so {variable} must name a database all workers reach, "
                f"e.g. {variable}=postgresql+psycopg://host/ostinato"
            )
        from sqlalchemy import URL

        return URL.create("sqlite", database=f"{self.home}/{name}").render_as_string()  # a folder may hold ? or %

    def run_folder(self, run_id: str) -> str:
        return f"{self.home}/runs/{run_id}"

    def scratch(self) -> Path:
        """A folder on this machine's disk for spilled and half-written files."""
        root = Path(tempfile.gettempdir(), f"ostinato-{os.getuid()}") if self.remote else Path(self.home, "tmp")
        return _writable(root)

    def scratch_name(self, what: str) -> str:
        """A name in `scratch` that tells whose it is, so that `prepare` can remove what a killed process left."""
        return f"{what}.{os.getpid()}.{platform.node()}"

    def prepare(self) -> None:
        """Make sure that the workspace can be written, or say so before anything runs; tidy up after the killed."""
        if not self.remote:
            _writable(Path(self.home))
        for left in self.scratch().glob(f"*.*.{platform.node()}*"):
            if not _is_alive(left.name.split(".")[1]):
                shutil.rmtree(left, ignore_errors=True)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):
        return True  # somebody else's
    return True


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise ConfigurationError(
            f"The workspace {folder} cannot be written ({reason}). Set OSTINATO_HOME to a folder that can."
        ) from error
    return folder


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec filesystem behind a URL, and the path on it."""
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]  # fsspec has no types
    except (ImportError, ValueError) as error:
        raise ConfigurationError(f"{url} cannot be opened: {error}") from error


def to_uri(place: str) -> str:
    """A path as a `file://` URI; a URL as it is."""
    return place if "://" in place else Path(place).absolute().as_uri()


@contextmanager
def whole(target: str, scratch: Path | None = None) -> Iterator[Path]:
    """Write a file or folder so that others see it whole or not at all.

    Yields a temporary path to write to. On success it takes the place of `target` (by rename on a disk, by upload
    elsewhere); on an error it is removed and `target` is as it was.
    """
    name = target.rstrip("/").rsplit("/", 1)[-1]
    parent = Path(target).parent if not is_remote(target) else scratch or Path(tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    holder = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".part", dir=parent))
    part = holder / name
    try:
        yield part
        _publish(part, target)
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def _publish(part: Path, target: str) -> None:
    if is_remote(target):
        files, path = filesystem(target)
        if files.exists(path):
            files.rm(path, recursive=True)
        files.put(str(part), path, recursive=part.is_dir())
    elif part.is_dir() and Path(target).exists():
        old = part.with_name("old")
        os.replace(target, old)  # a folder cannot be replaced in one call; the old one goes with the holder
        os.replace(part, target)
    else:
        os.replace(part, target)


def write_text(target: str, text: str) -> None:
    """Write a small text file, whole or not at all."""
    with whole(target) as part:
        part.write_text(text, encoding="utf-8")


def read_text(place: str) -> str:
    """Read a small text file from a path or URL."""
    if is_remote(place):
        files, path = filesystem(place)
        return str(files.cat_file(path).decode("utf-8"))
    return local_path(place).read_text(encoding="utf-8")


def write_json(target: str, value: Any) -> None:
    """Write JSON with sorted keys, whole or not at all."""
    write_text(target, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")
