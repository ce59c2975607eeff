"""A project as its template made it, kept in one compressed file: what updates compare with."""

from __future__ import annotations

import io
import lzma
import re
import tarfile
from collections.abc import Mapping

from ostinato.errors import UsageError

Files = dict[str, bytes]  # by path, with /, from the project's folder
_MOST = 50_000_000  # bytes, unpacked; a project is a hundredth of that


def packed(files: Mapping[str, bytes]) -> bytes:
    """Files as .tar.xz; the same files give the same bytes.

    Raises:
        UsageError: they are too many to be read again.
    """
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(files):
            entry = tarfile.TarInfo(path)
            entry.size = len(files[path])
            archive.addfile(entry, io.BytesIO(files[path]))
    if raw.tell() > _MOST:
        raise UsageError(f"The template makes files of {raw.tell() / 1e6:.0f} MB; {_MOST / 1e6:.0f} are the most.")
    return lzma.compress(raw.getvalue())


def unpacked(data: bytes, place: str) -> Files:
    """The files again, none of them written anywhere; `place` is what the archive is called in errors.

    Raises:
        UsageError: it is none of ours.
    """
    try:
        unpacking = lzma.LZMADecompressor(memlimit=200_000_000)
        raw = unpacking.decompress(data, _MOST)
        if not unpacking.eof:
            raise EOFError("it has no end, or unpacks to more than a project is")
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as archive:
            entries = [entry for entry in archive if entry.isfile()]
            _refuse_foreign(entries)
            return {entry.name: _content(archive, entry) for entry in entries}
    except (lzma.LZMAError, tarfile.TarError, EOFError, ValueError, OverflowError, LookupError) as error:
        raise UsageError(
            f"{place} cannot be read ({error}). It is what the template once made, and updates need it: "
            f"git checkout -- {place}"
        ) from None


def _refuse_foreign(entries: list[tarfile.TarInfo]) -> None:
    """An update writes and removes files by these names: they lie in the project, and are no more than fit in one."""
    if sum(entry.size for entry in entries) > _MOST:
        raise ValueError("it unpacks to more than a project is")
    for entry in entries:
        parts = re.split(r"[/\\]", entry.name.lower())
        if not parts[0] or ".." in parts or ".git" in parts:
            raise ValueError(f"it names a file outside of the project, {entry.name!r}")


def _content(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(entry)
    assert file is not None  # a regular file, see above
    return file.read()
