"""A project is made whole or not at all, and only where nothing is yet."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ostinato.errors import DataError, OstinatoError, ParameterError, UsageError
from ostinato.samples import transactions
from ostinato.scaffold.finding import find_template
from ostinato.scaffold.making import lasting, look, make
from ostinato.scaffold.origin import FOLDER, origin_of
from scaffold.little_template import QUESTIONS, listing, template

DRAFTED = "# drafted"


@pytest.fixture
def little(tmp_path: Path) -> Path:
    """A template of three files, one of them a script."""
    files: dict[str, str | bytes] = {
        "{{ name }}/__init__.py": '"""project_name."""\n',
        "README.md.jinja": "{{ owner }}\n",
        "run.sh": "",
    }
    place = template(tmp_path / "template", files)
    (place / "run.sh").chmod(0o755)
    return place


def made(template: Path | str, folder: Path, **answers: Any) -> dict[str, bytes]:
    """The files of a project that is made now."""
    make(find_template(str(template)), folder, answers)
    return {path: content for path, (_, content) in listing(folder).items()}


def of_project(files: dict[str, bytes]) -> dict[str, bytes]:
    return {path: content for path, content in files.items() if not path.startswith(FOLDER)}


def test_a_project_is_named_after_its_folder(little: Path, tmp_path: Path) -> None:
    """Above it, folders are made; it remembers where its template is, seen from itself."""
    files = made(little, tmp_path / "teams" / "Card Fraud", owner="Ada")
    assert of_project(files) == {
        "card_fraud/__init__.py": b'"""card_fraud."""\n',
        "README.md": b"Ada\n",
        "run.sh": b"",
    }
    origin = origin_of(tmp_path / "teams" / "Card Fraud")
    assert (origin.template, origin.version) == ("../../template", None)
    assert origin.answers == {"name": "card_fraud", "owner": "Ada"}
    assert origin.files == of_project(files)


def test_files_have_the_modes_that_a_person_would_give_them(little: Path, tmp_path: Path) -> None:
    """As the process may set them; a script can be executed."""
    before = os.umask(0o027)
    try:
        made(little, tmp_path / "mine")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "mine").rglob("*")}
    assert (modes["README.md"], modes["mine"], modes["run.sh"]) == (0o640, 0o750, 0o751)
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o750


def test_an_empty_folder_is_filled_and_stays_the_one_it_is(
    little: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell that stands in it must not find itself in a folder that was removed."""
    place = tmp_path / "mine"
    place.mkdir(mode=0o700)
    number = place.stat().st_ino
    monkeypatch.chdir(place)
    make(find_template(str(little)), Path("."), {})
    assert (place.stat().st_ino, stat.S_IMODE(place.stat().st_mode)) == (number, 0o700)
    assert sorted(os.listdir(".")) == [FOLDER, "README.md", "mine", "run.sh"]
    assert origin_of(place).template == "../template"


@pytest.mark.parametrize("there", ["file", "link", "dead link", "full", "hidden"])
def test_what_is_there_is_refused_and_not_touched(little: Path, tmp_path: Path, there: str) -> None:
    """A file, a link, a folder with anything in it."""
    place, other = tmp_path / "mine", tmp_path / "other"
    other.mkdir()
    if there == "file":
        place.write_text("mine")
    elif "link" in there:
        place.symlink_to(other if there == "link" else tmp_path / "nothing")
    else:
        place.mkdir()
        (place / (".git" if there == "hidden" else "a")).write_text("mine")
    before = listing(tmp_path), sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=r"mine is there already and (is no folder|not empty)"):
        make(find_template(str(little)), place, {})
    assert (listing(tmp_path), sorted(tmp_path.rglob("*"))) == before


@pytest.mark.parametrize(
    ("ready_made", "answers", "said"),
    [
        ("blank", {"name": "not a name"}, "cannot name a Python package"),
        ("blank", {"name": "json"}, "would hide"),
        ("blank", {"owner": "a\nb"}, "line break"),
        ("blank", {"engine": "kubeflow"}, "no engine 'kubeflow'"),
        ("blank", {"ownr": "a"}, "does not ask for 'ownr'"),
        ("blank", {"columns": {"tiem": "a"}}, "no column for 'tiem'"),
        ("blank", {"columns": {"time=1)#": "a"}}, "no column for"),
        ("fraud_detection", {"columns": {"amount": ""}}, r"columns\.amount is empty"),
        ("little", {"columns": {"time": "a"}}, "does not ask for 'columns'"),
    ],
)
def test_a_wrong_answer_leaves_nothing_behind(
    little: Path, tmp_path: Path, ready_made: str, answers: dict[str, Any], said: str
) -> None:
    """Not even the folders above."""
    place = find_template(str(little) if ready_made == "little" else ready_made)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ParameterError, match=said):
        make(place, tmp_path / "above" / "mine", answers)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_column_that_is_empty_is_none_where_it_may_be(tmp_path: Path) -> None:
    """`-a columns.label_time=` says that there is none."""
    made("fraud_detection", tmp_path / "mine", columns={"label_time": "", "amount": "amt"})
    columns = origin_of(tmp_path / "mine").answers["columns"]
    assert (columns["label_time"], columns["amount"], columns["card"]) == (None, "amt", "card_id")


def test_an_empty_source_is_the_made_up_one(tmp_path: Path) -> None:
    """The same as none."""
    assert made("blank", tmp_path / "a" / "mine", source="") == made("blank", tmp_path / "b" / "mine")


@pytest.mark.parametrize("source", ["s3://b/t.parquet", "postgresql+psycopg://u@h/db", "file:///x/t.csv", "duckdb:t"])
def test_an_address_is_kept_as_it_is(source: str) -> None:
    """Only a path depends on the folder one stands in."""
    assert lasting(source) == source


def test_a_path_is_kept_from_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project stands elsewhere than the person; a colon makes no address of a file that is there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/users/somebody")
    (tmp_path / "12:30.csv").touch()
    assert lasting("data/*.csv") == f"{tmp_path}/data/*.csv"
    assert lasting("../t.csv") == str(tmp_path.parent / "t.csv")
    assert lasting("~/t.csv") == "/users/somebody/t.csv"
    assert lasting("12:30.csv") == f"{tmp_path}/12:30.csv"


def test_what_the_table_tells_goes_into_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its columns, and a suite drafted from it, which updates leave alone."""
    monkeypatch.chdir(tmp_path)
    transactions.write("t.parquet", rows=2_000, days=40)
    given = {"source": "t.parquet"}
    found = find_template("blank")
    seen = look(found, given)
    assert seen is not None
    place = make(found, tmp_path / "mine", given, seen=seen)
    assert place.answers["source"] == str(tmp_path / "t.parquet")
    assert place.answers["columns"] == {"time": "ts"}
    origin = origin_of(tmp_path / "mine")
    assert origin.drawn == ("mine/suite.yaml",)
    assert (tmp_path / "mine" / "mine" / "suite.yaml").read_bytes() == seen.suite.encode()
    assert origin.files["mine/suite.yaml"] == seen.suite.encode()


@pytest.mark.parametrize("source", ["nothing.parquet", "junk.parquet", "postgresql://nowhere.invalid/x", " "])
def test_a_table_that_cannot_be_read_is_told(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "junk.parquet").write_bytes(b"PAR1junk")
    with pytest.raises(OstinatoError):
        look(find_template("blank"), {"source": source})
    with pytest.raises(DataError, match=r"nothing\.parquet"):
        look(find_template("blank"), {"source": "nothing.parquet"})


@pytest.mark.parametrize(("days", "warned"), [(40, True), (60, False)])
def test_a_table_of_too_few_days_is_told(days: int, warned: bool, tmp_path: Path) -> None:
    """By what the template's pipeline looks back on, learns from and judges on."""
    transactions.write(tmp_path / "t.parquet", rows=2_000, days=days)
    seen = look(find_template("fraud_detection"), {"source": str(tmp_path / "t.parquet")})
    assert seen is not None
    assert any("days are too few" in warning for warning in seen.warnings) is warned


def test_no_table_tells_nothing() -> None:
    """Made-up data is known."""
    assert look(find_template("blank"), {}) is None


# --- crashes ----------------------------------------------------------------------------------------------------

KILLED = """
import os, pathlib, sys
sys.path[:0] = {path!r}
from ostinato.scaffold.finding import find_template
from ostinato.scaffold.making import make

written, write = [], pathlib.Path.write_bytes
def slow(self, content):
    written.extend([self] if {place!r} in str(self) else [])
    if len(written) == 3:
        print("half", flush=True)
        sys.stdin.read()
    return write(self, content)
pathlib.Path.write_bytes = slow
make(find_template({template!r}), pathlib.Path({folder!r}), {{}})
"""


@pytest.mark.parametrize("exists", [False, True])
def test_a_kill_halfway_leaves_no_half_project(little: Path, tmp_path: Path, exists: bool) -> None:
    """What is there afterwards is nothing that could be taken for a project."""
    place = tmp_path / "place" / "mine"
    if exists:
        place.mkdir(parents=True)
    script = KILLED.format(path=sys.path, template=str(little), folder=str(place), place=str(place.parent))
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
    left = [path for path in (tmp_path / "place").iterdir() if not path.name.startswith(".")]
    assert left == ([place] if exists else [])
    assert all(path.name.startswith(".mine-") for each in left for path in each.iterdir())
    if not exists:
        made(little, place)


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("action", ["write_bytes", "rename"])
def test_a_crash_of_the_disk_leaves_nothing(
    little: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool, action: str
) -> None:
    """It is full after some files are written, or moved to where they belong; the error is a sentence."""
    place, real = tmp_path / "place" / "mine", getattr(Path, action)
    (place if exists else place.parent).mkdir(parents=True)
    before, calls = sorted(place.parent.rglob("*")), []

    def full(self: Path, *arguments: Any) -> Any:
        calls.extend([self] if self.is_relative_to(place.parent) else [])
        if len(calls) == (1 if action == "rename" and not exists else 3):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, *arguments)

    monkeypatch.setattr(Path, action, full)
    with pytest.raises(UsageError, match=r"mine cannot be written: .*No space left on device"):
        make(find_template(str(little)), place, {})
    assert sorted(place.parent.rglob("*")) == before


def test_a_folder_that_cannot_be_is_told(little: Path, tmp_path: Path) -> None:
    """In a sentence."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"mine cannot be written: .*(Not a directory|File exists)"):
        make(find_template(str(little)), tmp_path / "file" / "mine", {})


def test_whoever_is_faster_keeps_the_folder(little: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two people make a project in the same place at the same moment."""
    rename = Path.rename

    def late(self: Path, target: Path) -> Path:
        if target == tmp_path / "mine":
            target.mkdir()
            (target / "theirs").write_text("theirs")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    with pytest.raises(UsageError, match="not empty; nothing was touched"):
        make(find_template(str(little)), tmp_path / "mine", {})
    assert os.listdir(tmp_path / "mine") == ["theirs"]
    assert sorted(os.listdir(tmp_path)) == ["mine", "template"]


def test_a_ready_made_project_is_made_at_once(tmp_path: Path) -> None:
    """Asking, rendering and writing take no more than a moment of a machine that is busy with other things."""
    started = time.process_time()
    made("fraud_detection", tmp_path / "mine")
    assert time.process_time() - started < 2


def test_a_template_may_ask_for_more(tmp_path: Path) -> None:
    """A team's own questions are answered by the same option, and remembered."""
    place = template(tmp_path / "t", {"a.jinja": "{{ team }}"}, QUESTIONS + "team: {type: str, default: risk}\n")
    assert made(place, tmp_path / "mine")["a"] == b"risk"
    assert made(place, tmp_path / "other", team="ads")["a"] == b"ads"
    assert origin_of(tmp_path / "other").answers["team"] == "ads"
