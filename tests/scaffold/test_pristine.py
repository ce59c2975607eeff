"""The file in which a project keeps what its template once made: small, the same for the same, no way in."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.errors import UsageError
from ostinato.scaffold.pristine import packed, unpacked

NAMES = st.lists(st.from_regex(r"[\w é{}$-]{1,12}", fullmatch=True), min_size=1, max_size=4).map("/".join)
FILES = st.dictionaries(NAMES, st.binary(max_size=50), max_size=6)


@given(FILES)
def test_what_is_packed_comes_out_again(files: dict[str, bytes]) -> None:
    """Every name and every byte; in whatever order they came, the file is the same."""
    assert unpacked(packed(files), "p") == files
    assert packed(files) == packed(dict(reversed(files.items())))


def archive(*entries: tarfile.TarInfo | tuple[str, bytes]) -> bytes:
    """An archive as anybody could make one."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as made:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                made.addfile(entry)
            else:
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                made.addfile(info, io.BytesIO(entry[1]))
    return lzma.compress(raw.getvalue())


@pytest.mark.parametrize(
    "name",
    ["../x", "a/../../x", "/etc/passwd", "a\\..\\..\\x", ".git/hooks/pre-commit", "a/.GIT/config", "\\x", "a/.."],
)
def test_a_name_outside_of_the_project_is_refused(name: str) -> None:
    """An update would write, or remove, what is there."""
    with pytest.raises(UsageError, match=r"pristine\.tar\.xz cannot be read .* git checkout -- "):
        unpacked(archive(("a", b"1"), (name, b"2")), "pristine.tar.xz")


def test_links_and_devices_are_passed_over() -> None:
    """Only files are kept."""
    link, device = tarfile.TarInfo("link"), tarfile.TarInfo("device")
    link.type, link.linkname, device.type = tarfile.SYMTYPE, "/etc/passwd", tarfile.CHRTYPE
    assert unpacked(archive(link, device, ("a", b"1")), "p") == {"a": b"1"}


def test_an_archive_that_grows_without_end_is_refused() -> None:
    """By what it says of its size, by what it unpacks to, and without the memory for it."""
    sparse = tarfile.TarInfo("hole")
    sparse.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "300000000"}
    holes = b"1\n0\n0\n".ljust(512, b"\0")  # where it has content: nowhere
    sparse.size = len(holes)
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as made:
        made.addfile(sparse, io.BytesIO(holes))
    bombs = [lzma.compress(raw.getvalue()), archive(("a", bytes(60_000_000)))]
    bombs += [lzma.compress(gzip.compress(lzma.decompress(archive(("a", bytes(40_000_000))))))]  # one in another
    tracemalloc.start()
    try:
        for bomb in bombs:
            assert len(bomb) < 20_000
            with pytest.raises(UsageError, match="cannot be read"):
                unpacked(bomb, "p")
        assert tracemalloc.get_traced_memory()[1] < 250_000_000
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=600), st.booleans(), st.integers(0, 511))
def test_junk_is_refused_in_our_words(junk: bytes, inside: bool, place: int) -> None:
    """Whether it is no archive at all, or one whose header was spoilt."""
    if inside:
        header = bytearray(lzma.decompress(archive(("a", b"1"))))
        header[place : place + len(junk)] = junk
        junk = lzma.compress(bytes(header))
    try:
        found = unpacked(junk, "p")
    except UsageError:
        return
    assert all(not name.startswith("/") and ".." not in name.split("/") for name in found)


@pytest.mark.parametrize("part", [0, 10, -1, -40])
def test_half_a_file_is_refused(part: int) -> None:
    """As a copy that was broken off."""
    with pytest.raises(UsageError, match="cannot be read"):
        unpacked(packed({"a": b"1" * 1000})[:part], "p")


def test_what_could_not_be_unpacked_is_not_packed() -> None:
    """The limit is told when a project is made, not when it is to be updated."""
    with pytest.raises(UsageError, match="files of 51 MB; 50 are the most"):
        packed({"a": bytes(51_000_000)})
