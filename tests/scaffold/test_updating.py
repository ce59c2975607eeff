"""A project brought to what its template makes today: what its owner did stays, and git can take it all back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ostinato.errors import ParameterError, UsageError
from ostinato.samples import transactions
from ostinato.scaffold import finding
from ostinato.scaffold.finding import find_template
from ostinato.scaffold.making import look, make
from ostinato.scaffold.origin import ANSWERS, PRISTINE, origin_of
from ostinato.scaffold.pristine import packed
from ostinato.scaffold.updating import Update, apply, planned, refuse_uncommitted
from scaffold.little_template import QUESTIONS, commit, git, installed, listing, project, template, written

LINES = [f"line {number}" for number in range(20)]


def text(**changed: str) -> str:
    """Twenty lines, some of them changed: `text(_3="new")`."""
    return "\n".join(changed.get(f"_{number}", line) for number, line in enumerate(LINES)) + "\n"


def updated(folder: Path, **more: Any) -> Update:
    """An update that is made and committed."""
    found = planned(folder, more.pop("answers", None), **more)
    apply(folder, found)
    commit(folder)
    return found


def fates(update: Update) -> dict[str, str]:
    return {change.path: change.fate for change in update.changes}


# Three versions of a template: what each file is in them, None where it is not there.
VERSIONS: dict[str, tuple[str | None, str | None, str | None]] = {
    "top.txt": (text(), text(_0="v2"), text(_0="v3")),
    "bottom.txt": (text(), text(_19="v2"), text(_19="v3")),
    "near.txt": (text(), text(_10="v2"), text(_10="v3")),
    "same.txt": (text(), text(_10="v2"), text(_10="v3")),
    "untouched.txt": (text(), text(), text()),
    "deleted.txt": (text(), text(_1="v2"), text(_1="v3")),
    "renamed.txt": (text(), text(_1="v2"), text(_1="v3")),
    "formatted.py": ("x = { 'a':1 }\n\n\n\ny = 2\n\n\nz = 3\n", "x = { 'a':1 }\n\n\n\ny = 2\n\n\nz = 4\n", None),
    "added.txt": (None, "of the template\n", "of the template, again\n"),
    "going.txt": (text(), text(), None),
    "gone.txt": (text(), None, None),
    "sub/left.txt": (text(), text(_5="v2"), None),
    "plain.txt": (text(), text(_7="v2"), text(_7="v3")),
    "late.txt": (None, None, "late\n"),
}


def version(place: Path, number: int, questions: str = QUESTIONS) -> Path:
    """The template in one of its versions."""
    files = {path: content[number - 1] for path, content in VERSIONS.items()}
    there: dict[str, str | bytes] = {path: content for path, content in files.items() if content is not None}
    return template(place, {**there, "owner.txt.jinja": "{{ owner }}\n"}, questions)


def edited(folder: Path) -> dict[str, str]:
    """Eleven things a person does to a project; gives the lines of theirs by file."""
    (folder / "top.txt").write_text(text(_18="mine at the bottom"))
    (folder / "bottom.txt").write_text("mine, a new first line\n" + text())
    (folder / "near.txt").write_text(text(_8="mine nearby"))
    (folder / "same.txt").write_text(text(_10="mine on the same line"))
    (folder / "untouched.txt").write_text(text(_3="mine where nothing changes"))
    (folder / "deleted.txt").unlink()
    (folder / "renamed.txt").rename(folder / "otherwise.txt")
    (folder / "formatted.py").write_text('x = {"a": 1}\n\n\ny = 2\n\n\nz = 3\n')
    (folder / "added.txt").write_text("mine was here before\n")
    (folder / "going.txt").write_text(text(_4="mine, and it stays"))
    (folder / "own" / "new.txt").parent.mkdir()
    (folder / "own" / "new.txt").write_text("all mine\n")
    commit(folder)
    return {
        "top.txt": "mine at the bottom",
        "bottom.txt": "mine, a new first line",
        "near.txt": "mine nearby",
        "same.txt": "mine on the same line",
        "untouched.txt": "mine where nothing changes",
        "otherwise.txt": "line 19",
        "formatted.py": 'x = {"a": 1}',
        "added.txt": "mine was here before",
        "going.txt": "mine, and it stays",
        "own/new.txt": "all mine",
    }


def test_edits_by_hand_survive_two_versions(tmp_path: Path) -> None:
    """None of eleven is lost; there is a conflict only where both sides changed the same lines."""
    place = version(tmp_path / "template", 1)
    folder = project(place, tmp_path / "mine")
    mine = edited(folder)
    version(place, 2)
    second = updated(folder)
    assert fates(second) == {
        "added.txt": "conflict",
        "bottom.txt": "merged",
        "deleted.txt": "kept",
        "formatted.py": "merged",
        "gone.txt": "removed",
        "near.txt": "merged",
        "plain.txt": "written",
        "renamed.txt": "kept",
        "same.txt": "conflict",
        "sub/left.txt": "written",
        "top.txt": "merged",
    }
    assert second.conflicts == ["added.txt", "same.txt"]
    all_there(folder, mine)
    settled(folder, *second.conflicts)
    version(place, 3)
    third = updated(folder)
    assert fates(third) == {
        "added.txt": "conflict",
        "bottom.txt": "merged",
        "deleted.txt": "kept",
        "formatted.py": "kept",
        "going.txt": "kept",
        "late.txt": "added",
        "near.txt": "merged",
        "plain.txt": "written",
        "renamed.txt": "kept",
        "same.txt": "conflict",
        "sub/left.txt": "removed",
        "top.txt": "merged",
    }
    all_there(folder, mine)
    assert (folder / "top.txt").read_text() == text(_0="v3", _18="mine at the bottom")
    assert (folder / "near.txt").read_text() == text(_10="v3", _8="mine nearby")
    assert (folder / "formatted.py").read_text().endswith("z = 4\n")
    assert not (folder / "deleted.txt").exists()
    assert not (folder / "sub").exists()


def all_there(folder: Path, mine: dict[str, str]) -> None:
    assert {path: line in (folder / path).read_text().splitlines() for path, line in mine.items()} == dict.fromkeys(
        mine, True
    )


def settled(folder: Path, *paths: str) -> None:
    """Each conflict decided for one's own."""
    for path in paths:
        kept, mine = [], True
        for line in (folder / path).read_text().splitlines():
            if line.startswith(("<<<<<<<", "|||||||", "=======", ">>>>>>>")):
                mine = line.startswith(("<<<<<<<", ">>>>>>>"))
            elif mine:
                kept.append(line)
        (folder / path).write_text("\n".join(kept) + "\n")
    commit(folder)


def test_a_second_update_does_nothing(tmp_path: Path) -> None:
    """Whatever the first could not settle: what is kept or in conflict is not told again."""
    place = version(tmp_path / "template", 1)
    folder = project(place, tmp_path / "mine")
    edited(folder)
    version(place, 2)
    updated(folder)
    before = listing(folder)
    assert updated(folder).changes == []
    assert {path: each[1] for path, each in listing(folder).items()} == {path: each[1] for path, each in before.items()}
    assert git(folder, "log", "-1", "--stat", "--format=").strip() == ""


def test_a_plan_writes_nothing(tmp_path: Path) -> None:
    """However much there is to do."""
    place = version(tmp_path / "template", 1)
    folder = project(place, tmp_path / "mine")
    edited(folder)
    version(place, 3)
    before = listing(tmp_path)
    assert planned(folder).changes
    assert listing(tmp_path) == before


def test_git_takes_an_update_back(tmp_path: Path) -> None:
    """All of it is in the working tree, nothing is committed in its owner's name."""
    place = version(tmp_path / "template", 1)
    folder = project(place, tmp_path / "mine")
    before = {path: each[1] for path, each in listing(folder).items()}
    version(place, 2)
    apply(folder, planned(folder))
    git(folder, "checkout", "--", ".")
    git(folder, "clean", "-fdq")
    assert {path: each[1] for path, each in listing(folder).items()} == before


# --- what comes with ostinato, or another package ---------------------------------------------------------------


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Releases another version of ostinato, whose templates are changed as they are told."""
    place = tmp_path / "installed"
    shutil.copytree(finding.BUILT_IN, place)
    monkeypatch.setattr(finding, "BUILT_IN", place)

    def release(number: str, notes: str = "", **changed: Callable[[str], str]) -> None:
        for name, change in changed.items():
            path = place / "shared" / {"makefile": "Makefile.jinja", "readme": "README.md.jinja"}[name]
            path.write_text(change(path.read_text()))
        (place / "shared" / "NOTES.md").write_text(f"Notes.\n\n{notes}")
        monkeypatch.setattr(finding, "__version__", number)

    release("0.1.0", "## 0.1.0\n\n- The first.\n")
    return release


def test_a_ready_made_project_follows_the_installed_version(tmp_path: Path, released: Callable[..., None]) -> None:
    """With the notes of all versions between, the newest first, and not those of before."""
    released("0.9.0")
    folder = project("fraud_detection", tmp_path / "mine", owner="Ada", slack="ml-ops", schedule="@daily")
    assert planned(folder).changes == []
    with (folder / "Makefile").open("a") as file:
        file.write("\nmine:\n\t@echo mine\n")
    commit(folder)
    notes = "## 0.11.0\n\n- Eleventh.\n\n## 0.10.0\n\n- Tenth.\n\n## 0.9.0\n\n- Ninth.\n"
    released("0.11.0", notes, makefile=lambda old: f"# New.\n{old}", readme=lambda old: f"{old}\nMore.\n")
    found = updated(folder)
    assert (found.before, found.origin.version) == ("0.9.0", "0.11.0")
    assert fates(found) == {"Makefile": "merged", "README.md": "written"}
    assert found.notes == "## 0.11.0\n\n- Eleventh.\n## 0.10.0\n\n- Tenth."
    assert (folder / "Makefile").read_text().startswith("# New.\n")
    assert (folder / "Makefile").read_text().endswith("\nmine:\n\t@echo mine\n")


def test_a_folder_whose_versions_nobody_counts_tells_its_newest_note(tmp_path: Path) -> None:
    """All of them would come again with each update."""
    place = project(template(tmp_path / "t", {"a.txt": "1\n"}), tmp_path / "mine")
    template(tmp_path / "t", {"a.txt": "2\n", "NOTES.md": "## Two\n\n- Second.\n\n## One\n\n- First.\n"})
    assert planned(place).notes == "## Two\n\n- Second."


def test_a_version_that_changes_nothing_for_a_project_is_no_news(tmp_path: Path, released: Callable[..., None]) -> None:
    """Its files stay as they are, to the byte."""
    folder = project("blank", tmp_path / "mine")
    released("0.2.0", "## 0.2.0\n\n- For others.\n")
    found = updated(folder)
    assert (found.changes, found.notes) == ([], "")
    assert git(folder, "log", "-1", "--stat", "--format=").strip() == ""


def test_a_project_of_a_newer_version_is_refused(tmp_path: Path, released: Callable[..., None]) -> None:
    """It would be taken back to what it was."""
    released("0.10.0")
    folder = project("blank", tmp_path / "mine")
    released("0.9.0")
    with pytest.raises(UsageError, match=r"is from blank 0\.10\.0, newer than the 0\.9\.0 .*: upgrade ostinato"):
        planned(folder)


def test_a_suite_drawn_from_a_table_is_left_as_it_is(
    tmp_path: Path, released: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is not looked at again; what the template says of suites in general is not put in its place."""
    monkeypatch.chdir(tmp_path)
    transactions.write("t.parquet", rows=2_000, days=40)
    found, given = find_template("blank"), {"source": "t.parquet"}
    make(found, tmp_path / "mine", given, seen=look(found, given))
    folder = tmp_path / "mine"
    git(folder, "init", "-q")
    commit(folder)
    suite = finding.BUILT_IN / "blank" / "{{name}}" / "suite.yaml.jinja"
    suite.write_text(suite.read_text() + "# more\n")
    released("0.2.0", makefile=lambda old: f"{old}\n# more\n")
    before = (folder / "mine" / "suite.yaml").read_bytes()
    assert fates(updated(folder)) == {"Makefile": "written"}
    assert (folder / "mine" / "suite.yaml").read_bytes() == before
    assert origin_of(folder).drawn == ("mine/suite.yaml",)


def test_the_files_of_an_engine_come_and_go(tmp_path: Path) -> None:
    """By another answer; empty folders go with them."""
    folder = project("blank", tmp_path / "mine", engine="airflow")
    found = updated(folder, answers={"engine": "prefect", "schedule": "@daily"})
    assert {path: fate for path, fate in fates(found).items() if fate != "written"} == {
        "dags/mine_dag.py": "removed",
        "flows/mine_flow.py": "added",
        "prefect.yaml": "added",
        "tests/test_dag.py": "removed",
        "tests/test_flow.py": "added",
    }
    assert not (folder / "dags").exists()
    assert 'schedule="@daily"' in (folder / "mine" / "pipeline.py").read_text()
    assert origin_of(folder).answers["engine"] == "prefect"


def test_one_column_is_answered_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others stay; a path is kept from the root, and none is the made-up data again."""
    monkeypatch.chdir(tmp_path)
    folder = project("fraud_detection", tmp_path / "mine")
    updated(folder, answers={"columns": {"card": "cc_num"}, "source": "t.csv"})
    answers = origin_of(folder).answers
    assert (answers["columns"]["card"], answers["columns"]["id"]) == ("cc_num", "tx_id")
    assert answers["source"] == str(tmp_path / "t.csv")
    updated(folder, answers={"source": ""})
    assert origin_of(folder).answers["source"].startswith("data/transactions")


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"name": "other"}, "The name of a project stays"),
        ({"ownr": "a"}, "does not ask for 'ownr'"),
        ({"columns": {"tiem": "a"}}, "no column for 'tiem'"),
        ({"owner": "a\nb"}, "line break"),
        ({"engine": "spark"}, "no engine 'spark'"),
    ],
)
def test_a_wrong_answer_is_refused(tmp_path: Path, answers: dict[str, Any], said: str) -> None:
    """As when the project was made."""
    folder = project("blank", tmp_path / "mine")
    with pytest.raises(ParameterError, match=said):
        planned(folder, answers)


# --- templates that move on -------------------------------------------------------------------------------------


def test_a_question_may_come_and_go(tmp_path: Path) -> None:
    """What is asked no more is forgotten; what is new takes its default."""
    place = template(tmp_path / "t", {"a.jinja": "{{ team }}\n"}, QUESTIONS + "team: {type: str, default: risk}\n")
    folder = project(place, tmp_path / "mine", team="ads")
    template(place, {"a.jinja": "{{ area }}\n"}, QUESTIONS + "area: {type: str, default: all}\n")
    assert fates(updated(folder)) == {"a": "written"}
    assert origin_of(folder).answers == {"name": "mine", "owner": "", "area": "all"}
    assert (folder / "a").read_text() == "all\n"


def test_a_role_may_come_and_go(tmp_path: Path) -> None:
    """As a question does."""
    asked = QUESTIONS + "columns:\n  type: yaml\n  when: false\n  default: {time: ts, %s}\n"
    place = template(tmp_path / "t", {"a.jinja": "{{ columns }}\n"}, asked % "id: tx")
    make(find_template(str(place)), tmp_path / "mine", {"columns": {"time": "when"}})
    template(place, {"a.jinja": "{{ columns }}\n"}, asked % "user: user_id")
    assert planned(tmp_path / "mine").origin.answers["columns"] == {"time": "when", "user": "user_id"}


def test_a_template_that_moved_is_named_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once: the project then remembers where it is, seen from itself, whatever folder one stands in."""
    folder = project(version(tmp_path / "template", 1), tmp_path / "projects" / "mine")
    (tmp_path / "template").rename(tmp_path / "moved")
    version(tmp_path / "moved", 2)
    with pytest.raises(UsageError, match=r"There is no folder .*template\. .*--template PATH"):
        planned(folder)
    monkeypatch.chdir(tmp_path)
    assert updated(folder, template="./moved").changes
    assert origin_of(folder).template == "../../moved"
    monkeypatch.chdir(folder)
    assert planned(Path(".")).changes == []


def test_a_template_of_a_package_follows_its_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name; where the package is gone, it is to be installed."""
    installed(tmp_path / "old", monkeypatch)
    folder = project("churn", tmp_path / "mine")
    installed(tmp_path / "new", monkeypatch, version="2.10")
    assert fates(updated(folder)) == {"mine/__init__.py": "written"}
    assert origin_of(folder).version == "2.10"
    monkeypatch.setattr(sys, "path", [place for place in sys.path if str(tmp_path) not in place])
    with pytest.raises(UsageError, match=r"no template 'churn'.* Version 2\.10 came with a package: install it"):
        planned(folder)


def test_a_script_that_is_new_can_be_executed(tmp_path: Path) -> None:
    """And one that is there keeps its mode."""
    folder = project(template(tmp_path / "t", {"old.sh": "1\n"}), tmp_path / "mine")
    (folder / "old.sh").chmod(0o700)
    commit(folder)
    place = template(tmp_path / "t", {"old.sh": "2\n", "new.sh": "1\n"})
    (place / "new.sh").chmod(0o755)
    updated(folder)
    assert os.access(folder / "new.sh", os.X_OK)
    assert (folder / "old.sh").stat().st_mode & 0o777 == 0o700


def test_a_checkout_of_windows_is_not_edited(tmp_path: Path) -> None:
    """Its ends of lines are no edits by hand, and stay."""
    folder = project(template(tmp_path / "t", {"a": "1\n2\n", "b": "1\n2\n"}), tmp_path / "mine")
    (folder / "a").write_bytes(b"1\r\n2\r\n")
    commit(folder)
    template(tmp_path / "t", {"a": "1\n3\n", "b": "1\n3\n"})
    assert fates(updated(folder)) == {"a": "written", "b": "written"}
    assert ((folder / "a").read_bytes(), (folder / "b").read_bytes()) == (b"1\r\n3\r\n", b"1\n3\n")


@pytest.mark.parametrize("kind", ["link", "link above", "folder", "file above"])
def test_what_stands_in_the_way_is_its_owners(tmp_path: Path, kind: str) -> None:
    """A link, above all, leads out of the project: nothing is written or removed there."""
    out = written(tmp_path / "out", {"a": "1\n", "gone": "1\n"})
    folder = project(template(tmp_path / "t", {"sub/a": "1\n", "sub/gone": "1\n"}), tmp_path / "mine")
    shutil.rmtree(folder / "sub")
    if kind == "link above":
        (folder / "sub").symlink_to(out)
    elif kind == "file above":
        (folder / "sub").write_text("1\n")
    else:
        (folder / "sub").mkdir()
        for name in ("a", "gone"):
            place = folder / "sub" / name
            place.symlink_to(out / name) if kind == "link" else written(place, {"x": "1\n"})
    commit(folder)
    before = listing(folder / "sub"), listing(out)
    template(tmp_path / "t", {"sub/a": "2\n", "sub/new": "2\n"})
    assert fates(updated(folder))["sub/a"] == "kept"
    assert listing(out) == before[1]
    assert {path: each for path, each in listing(folder / "sub").items() if path != "new"} == before[0]


# --- what an update needs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["changed", "staged", "untracked", "removed"])
def test_an_update_over_uncommitted_changes_is_refused(tmp_path: Path, kind: str) -> None:
    """Whatever a person has told git of untracked files; nothing is touched, and the message says what to do."""
    folder = project(version(tmp_path / "template", 1), tmp_path / "mine")
    git(folder, "config", "status.showUntrackedFiles", "no")
    version(tmp_path / "template", 2)
    name = {"untracked": "größe.txt", "removed": "plain.txt"}.get(kind, "top.txt")
    (folder / name).unlink() if kind == "removed" else (folder / name).write_text("mine\n")
    if kind == "staged":
        git(folder, "add", "-A")
    before = listing(folder)
    with pytest.raises(UsageError, match=rf"not committed \({name}\); nothing was touched\. Commit or stash"):
        apply(folder, planned(folder))
    assert listing(folder) == before


def test_an_update_outside_of_git_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the commands that help, in whatever language git speaks."""
    monkeypatch.setenv("LANGUAGE", "de")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    make(find_template(str(version(tmp_path / "template", 1))), tmp_path / "mine", {})
    with pytest.raises(UsageError, match=r"is in no git repository.*git init && git add -A && git commit"):
        refuse_uncommitted(tmp_path / "mine")


def test_a_project_may_lie_in_a_larger_repository(tmp_path: Path) -> None:
    """What is changed elsewhere in it is none of the project's business; ignoring the project is."""
    place, above = version(tmp_path / "template", 1), tmp_path / "all"
    make(find_template(str(place)), above / "teams" / "mine", {})
    git(above, "init", "-q")
    commit(above)
    (above / "elsewhere.txt").write_text("not committed\n")
    version(place, 2)
    assert fates(updated(above / "teams" / "mine"))["plain.txt"] == "written"
    ignored = tmp_path / "all" / "ignored" / "mine"
    written(above, {**{p: c for p, (_, c) in listing(above).items()}, ".gitignore": "ignored/\n"})
    git(above, "init", "-q")
    make(find_template(str(place)), ignored, {})
    commit(above)
    with pytest.raises(UsageError, match=r"git ignores .*answers\.yaml.* Take it out of \.gitignore"):
        refuse_uncommitted(ignored)


def test_a_repository_that_git_does_not_trust_is_told_as_git_tells_it(tmp_path: Path) -> None:
    """It is one, after all."""
    folder = project(version(tmp_path / "template", 1), tmp_path / "mine")
    (folder / ".git" / "config").write_text("[core\n")
    with pytest.raises(UsageError, match=r"git cannot tell whether all changes are committed: .*config"):
        refuse_uncommitted(folder)


def test_another_repository_is_none_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook, or a rebase, tells git of its own by the environment."""
    folder = project(version(tmp_path / "template", 1), tmp_path / "mine")
    (folder / "top.txt").write_text("mine\n")
    git(tmp_path, "init", "-q", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    with pytest.raises(UsageError, match=r"not committed \(top\.txt\)"):
        refuse_uncommitted(folder)


def test_a_pristine_file_of_a_stranger_removes_nothing(tmp_path: Path) -> None:
    """It could name what is outside of the project as a file the template has no more."""
    folder = project(version(tmp_path / "template", 1), tmp_path / "mine")
    (tmp_path / "precious").write_text("mine\n")
    (folder / PRISTINE).write_bytes(packed({"../precious": b"mine\n"}))
    commit(folder)
    with pytest.raises(UsageError, match=r"outside of the project, '\.\./precious'"):
        planned(folder)
    (folder / PRISTINE).write_bytes(b"junk")
    with pytest.raises(UsageError, match="git checkout -- "):
        planned(folder)
    assert (tmp_path / "precious").exists()


def test_a_folder_that_is_no_project_is_told(tmp_path: Path) -> None:
    """Whatever else may be amiss with it."""
    with pytest.raises(UsageError, match="was not made by `ostinato new`"):
        planned(tmp_path)


KILLED = """
import pathlib, sys
sys.path[:0] = {path!r}
from ostinato.scaffold.updating import apply, planned

folder = pathlib.Path({folder!r})
found, written, write = planned(folder, {{"owner": "Grace"}}), [], pathlib.Path.write_bytes
def slow(self, content):
    written.append(self)
    if len(written) == {after}:
        print("half", flush=True)
        sys.stdin.read()
    return write(self, content)
pathlib.Path.write_bytes = slow
apply(folder, found)
"""


@pytest.mark.parametrize(
    ("after", "again"), [(3, {"owner": "Grace"}), ("1 + len([c for c in found.changes if c.content]) + 1", {})]
)
def test_a_killed_update_is_made_again(tmp_path: Path, after: object, again: dict[str, str]) -> None:
    """After half of the files; or before the last one, when the answers are known already: it comes to the same."""
    place = version(tmp_path / "template", 1)
    folder = project(place, tmp_path / "mine")
    (folder / "top.txt").write_text(text(_18="mine"))
    commit(folder)
    whole = Path(shutil.copytree(folder, tmp_path / "whole"))
    version(place, 2)
    apply(whole, planned(whole, {"owner": "Grace"}))
    script = KILLED.format(path=sys.path, folder=str(folder), after=after)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
    with pytest.raises(UsageError, match="not committed"):
        apply(folder, planned(folder))
    commit(folder)
    apply(folder, planned(folder, again))
    assert {path: each[1] for path, each in listing(folder).items()} == {
        path: each[1] for path, each in listing(whole).items()
    }


def test_answers_that_were_edited_by_hand_count(tmp_path: Path) -> None:
    """The file says that `-a` is the way; an editor is one, too."""
    folder = project(template(tmp_path / "t", {"a.jinja": "{{ owner }}\n"}), tmp_path / "mine", owner="Ada")
    (folder / ANSWERS).write_text((folder / ANSWERS).read_text().replace("Ada", "Grace"))
    commit(folder)
    assert fates(updated(folder)) == {"a": "written"}
    assert (folder / "a").read_text() == "Grace\n"
