"""`ostinato new` and `ostinato update` as a person or a script meets them."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from ostinato.cli import main
from ostinato.samples import transactions
from ostinato.scaffold.origin import origin_of
from scaffold.little_template import QUESTIONS, commit, git, listing, project, template
from terminal import COMMAND, CTRL_C, at_a_terminal


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a person's own, with a small template in it."""
    monkeypatch.chdir(tmp_path)
    template(tmp_path / "little", {"README.md.jinja": "{{ owner }}\n", "{{ name }}.txt": "one\n"})
    return tmp_path


def ostinato(*arguments: str, code: int = 0) -> str:
    """What is said to a person; without a terminal."""
    said, shown, path, given = io.StringIO(), io.StringIO(), list(sys.path), (sys.argv, sys.stdin)
    sys.argv, sys.stdin = ["ostinato", *arguments], io.StringIO()
    try:
        with redirect_stderr(said), redirect_stdout(shown), pytest.raises(SystemExit) as ended:
            _ended()
    finally:
        sys.path[:], (sys.argv, sys.stdin) = path, given
    assert (ended.value.code or 0) == code, said.getvalue()
    assert shown.getvalue() == "" or "--help" in arguments
    return shown.getvalue() + said.getvalue()


def _ended() -> None:
    """The command, which ends the process where something is amiss."""
    main()
    sys.exit()


def typed(*answers: tuple[str, str], command: tuple[str, ...], code: int = 0) -> str:
    """What is shown at a terminal; each answer is typed when its question is there."""
    ended = at_a_terminal(*command, answers=answers)
    assert ended.code == code, ended.said
    return ended.said


# --- new --------------------------------------------------------------------------------------------------------


def test_help_says_what_a_newcomer_needs() -> None:
    """Both commands are there, with every answer and what `--check` is for."""
    assert re.search(r"\n  new .*\n  update ", ostinato("--help"))
    new, update = ostinato("new", "--help"), ostinato("update", "--help")
    for word in (
        "TEMPLATE",
        "DIR",
        "KEY=VALUE",
        "name",
        "engine",
        "source",
        "columns.ROLE",
        "schedule",
        "slack",
        "owner",
    ):
        assert word in new
    assert "--defaults" in new
    assert re.search(r"--check .*exit\s+code 1", update, re.DOTALL)


@pytest.mark.parametrize("defaults", [["--defaults"], []])
def test_a_project_is_made_in_one_line(folder: Path, defaults: list[str]) -> None:
    """Without a terminal nothing is asked anyway; the next command is told, ready to be copied."""
    said = ostinato("new", "blank", "My Project", *defaults)
    assert "Made My Project from the template blank." in said
    assert "next: cd 'My Project' && make test && make run\n" in said
    assert origin_of(folder / "My Project").answers == {
        "name": "my_project",
        "engine": "both",
        "source": "data/transactions",
        "columns": {"time": "ts"},
        "schedule": "",
        "slack": "",
        "owner": "",
    }


def test_every_question_can_be_answered_in_the_same_line(folder: Path) -> None:
    """Each by `-a key=value`; other files are not made."""
    answers = ["name=cards", "engine=prefect", "columns.time=When", "schedule=0 5 * * *", "slack=ops", "owner=Ada = me"]
    ostinato("new", "blank", "mine", *(part for answer in answers for part in ("-a", answer)))
    kept = origin_of(folder / "mine").answers
    assert (kept["name"], kept["engine"], kept["columns"]) == ("cards", "prefect", {"time": "When"})
    assert (kept["schedule"], kept["slack"], kept["owner"]) == ("0 5 * * *", "#ops", "Ada = me")
    assert not (folder / "mine" / "dags").exists()


def test_the_table_is_looked_at(folder: Path) -> None:
    """What is found is told, and goes into the project."""
    transactions.write("t.parquet", rows=2_000, days=40)
    said = ostinato("new", "fraud_detection", "mine", "-a", "source=t.parquet")
    assert said.startswith("t.parquet:\n  ")
    assert origin_of(folder / "mine").answers["source"] == str(folder / "t.parquet")
    assert (folder / "mine" / "mine" / "suite.yaml").is_file()


def test_a_script_meets_the_same(folder: Path) -> None:
    """In a process of its own, with nobody there to ask."""
    command = [*COMMAND, "new", "blank", "mine", "-a", "name=not a name"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ostinato: name='not a name' cannot name a Python package")
    assert listing(folder).keys() == {f"little/{name}" for name in ("copier.yml", "README.md.jinja", "{{ name }}.txt")}


def test_a_folder_of_ones_own_is_a_template(folder: Path) -> None:
    """By the same commands; what has no Makefile is not said to have one."""
    assert ostinato("new", "./little", "mine", "-a", "owner=Ada") == "Made mine from the template ./little.\n"
    assert (folder / "mine" / "mine.txt").read_text() == "one\n"
    assert origin_of(folder / "mine").template == "../little"


def test_an_empty_folder_may_be_the_one_a_person_stands_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives the project its name."""
    (folder / "cards").mkdir()
    monkeypatch.chdir(folder / "cards")
    assert "next: make test && make run\n" in ostinato("new", "blank", ".", "--defaults")
    assert origin_of(folder / "cards").answers["name"] == "cards"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["new"], "Missing argument 'TEMPLATE'"),
        (["new", "blank"], "Missing argument 'DIR'"),
        (["new", "fraud", "mine"], "Did you mean 'fraud_detection'?"),
        (["new", "../..", "mine"], "is no template: a Copier template has its questions in copier.yml"),
        (["new", "./nothing", "mine"], "There is no folder ./nothing"),
        (["new", "blank", "little"], "is there already and not empty; nothing was touched"),
        (["new", "blank", "mine", "-a", "name=json"], "such as -a name=json_"),
        (["new", "blank", "mine", "-a", "owner"], "write -a key=value"),
        (["new", "blank", "mine", "-a", "ownr=x"], "Did you mean 'owner'?"),
        (["new", "blank", "mine", "-a", "columns.tiem=x"], "Did you mean 'time'?"),
        (["new", "blank", "mine", "-a", "name=My Project"], "such as 'my_project'"),
        (["new", "blank", "mine", "-a", "owner=a\nb"], "line break"),
        (["update", "nowhere"], "was not made by `ostinato new`"),
        (["update", "little", "--check"], "was not made by `ostinato new`"),
        (["update", "--chekc"], "No such option"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(folder: Path, arguments: list[str], said: str) -> None:
    """With exit code 2, and nothing is touched."""
    before = listing(folder)
    assert said in " ".join(re.sub(r"[│╭╮╰╯─]", " ", ostinato(*arguments, code=2)).split())
    assert listing(folder) == before


def test_a_table_that_is_not_there_is_told(folder: Path) -> None:
    """Data that is wrong is no wrong usage; no project is made of it."""
    assert "nothing.parquet" in ostinato("new", "blank", "mine", "-a", "source=nothing.parquet", code=1)
    assert not (folder / "mine").exists()


def test_a_password_is_shown_to_nobody(folder: Path) -> None:
    """Neither on the screen nor in an error."""
    said = ostinato("new", "blank", "mine", "-a", "source=postgresql://ada:s3cret@127.0.0.1:1/x", code=1)
    assert "keep the whole address in its .env" in said
    assert "s3cret" not in said


# --- at a terminal ----------------------------------------------------------------------------------------------


def test_a_person_is_asked_once_for_each_thing(folder: Path) -> None:
    """Enter takes the default; the table is not asked for again."""
    said = typed(
        ("Which table?", "\r"),
        ("Where shall it run", "\r"),
        ("When?", "@weekly\r"),
        ("Which Slack channel", "\r"),
        ("Who looks after it", "Ada {{ 7*7 }}\r"),
        command=("new", "blank", "mine"),
    )
    assert said.count("Which table?") == 1
    kept = origin_of(folder / "mine").answers
    assert (kept["source"], kept["schedule"], kept["owner"]) == ("data/transactions", "@weekly", "Ada {{ 7*7 }}")


def test_a_person_may_name_other_columns(folder: Path) -> None:
    """What is no column is asked again; what is given on the command line is not asked at all."""
    transactions.write("t.parquet", rows=2_000, days=40)
    said = typed(
        ("Which table?", "t.parquet\r"),
        ("Column of the time", "whne\r"),
        ("There is no column 'whne'", ""),
        ("Column of the time", "fraud_reported_at\r"),
        command=("new", "blank", "mine", *(f"-a{key}=" for key in ("schedule", "slack", "owner")), "-aengine=both"),
    )
    assert "Which Slack channel" not in said
    assert origin_of(folder / "mine").answers["columns"] == {"time": "fraud_reported_at"}


def test_an_answer_that_is_none_is_asked_for_again(folder: Path) -> None:
    """At once, with the reason."""
    said = typed(
        ("Which table?", "\r"),
        ("When?", "weekly\r"),
        ("Five fields, or @daily.", "\x15@weekly\r"),
        ("Which Slack channel", "two words\r"),
        ("A name such as #ml-ops.", "\x15ml-ops\r"),
        ("Who looks after it", "\r"),
        command=("new", "blank", "mine", "-aengine=both"),
    )
    kept = origin_of(folder / "mine").answers
    assert (kept["schedule"], kept["slack"]) == ("@weekly", "#ml-ops"), said


@pytest.mark.parametrize("question", ["Which table?", "When?"])
def test_a_person_may_leave(folder: Path, question: str) -> None:
    """Ctrl-C at any question ends it, and nothing is made."""
    first = [("Which table?", "\r")] if question != "Which table?" else []
    said = typed(*first, (question, CTRL_C), command=("new", "blank", "mine", "-aengine=both"), code=130)
    assert "Traceback" not in said
    assert "cannot be used" not in said
    assert not (folder / "mine").exists()


def test_a_template_that_asks_for_no_table_is_not_looked_at(folder: Path) -> None:
    """A team's own questions are all there are."""
    said = typed(("owner", "Ada\r"), command=("new", "./little", "mine"))
    assert "Which table?" not in said
    assert (folder / "mine" / "README.md").read_text() == "Ada\n"


# --- update -----------------------------------------------------------------------------------------------------


@pytest.fixture
def mine(folder: Path) -> Callable[..., Path]:
    """Makes a project, and then another version of its template."""

    def make(**edits: str) -> Path:
        place = project("./little", folder / "mine")
        for name, content in edits.items():
            (place / f"{name}.txt").write_text(content)
        commit(place)
        template(folder / "little", {"README.md.jinja": "{{ owner }}\n", "{{ name }}.txt": "two\n", "new.txt": ""})
        return place

    return make


def test_check_tells_what_is_new_and_writes_nothing(folder: Path, mine: Callable[..., Path]) -> None:
    """Exit code 1 while something is, 0 when nothing is; git is not needed for it."""
    place = mine()
    (place / "not committed").write_text("mine")
    before = listing(place)
    said = ostinato("update", "mine", "--check", code=1)
    assert "nothing was written" in said
    assert "  written   mine.txt\n" in said
    assert "  added     new.txt\n" in said
    assert listing(place) == before
    commit(place)
    ostinato("update", "mine")
    assert "Up to date with ../little." in ostinato("update", "mine", "--check")


def test_an_update_brings_what_is_new(mine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder one stands in; a second does nothing."""
    place = mine()
    monkeypatch.chdir(place)
    assert "  written   mine.txt\n" in ostinato("update")
    assert (place / "mine.txt").read_text() == "two\n"
    commit(place)
    assert ostinato("update") == "Up to date with ../little.\n"
    assert git(place, "status", "--porcelain") == ""


def test_a_conflict_is_marked_and_told(mine: Callable[..., Path]) -> None:
    """Exit code 1: a script must not commit it."""
    place = mine(mine="mine\n")
    said = ostinato("update", "mine", code=1)
    assert "  conflict  mine.txt\n" in said
    assert "choose, then commit" in said
    assert "<<<<<<< yours\nmine\n||||||| as it was made\none\n" in (place / "mine.txt").read_text()


def test_an_update_over_changes_is_refused(mine: Callable[..., Path]) -> None:
    """Before anything is told as done."""
    place = mine()
    (place / "mine.txt").write_text("not committed\n")
    said = ostinato("update", "mine", code=2)
    assert "Commit or stash them first" in said
    assert "written" not in said
    assert (place / "mine.txt").read_text() == "not committed\n"


def test_an_answer_is_changed_by_an_update(mine: Callable[..., Path]) -> None:
    """With what the template makes of it."""
    place = mine()
    ostinato("update", "mine", "-a", "owner=Grace")
    assert (place / "README.md").read_text() == "Grace\n"
    assert origin_of(place).answers["owner"] == "Grace"


def test_a_template_that_moved_is_named(folder: Path, mine: Callable[..., Path]) -> None:
    """The message says how."""
    place = mine()
    (folder / "little").rename(folder / "moved")
    assert "If it was moved, write --template PATH" in ostinato("update", "mine", code=2)
    ostinato("update", "mine", "--template", "moved")
    assert origin_of(place).template == "../moved"


def test_questions_of_a_template_without_a_terminal_take_their_defaults(folder: Path) -> None:
    """One that has none must be answered in the line."""
    template(folder / "little", {"a": ""}, QUESTIONS + "team: {type: str}\n")
    assert 'Question "team" is required' in ostinato("new", "./little", "mine", code=2)
    ostinato("new", "./little", "mine", "-a", "team=risk")
