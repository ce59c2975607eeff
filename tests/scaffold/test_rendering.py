"""A template made into files: answers stay answers, and a template stays in its folder."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from ostinato.errors import ParameterError, UsageError
from ostinato.scaffold.finding import built_in, find_template
from ostinato.scaffold.rendering import questions, render, usual_columns
from scaffold.little_template import QUESTIONS, template

HOSTILE = (
    "{{ 7*7 }}",
    "{% raw %}",
    "{# no #}",
    '"',
    "'",
    '"""',
    "\\",
    "\\n",
    "#",
    "# x",
    "$(id)",
    "$$(id)",
    "`id`",
    "</script>",
    "project_name",
    "${HOME}",
    "%(x)s",
    "=",
    ":",
    "- a",
    "!!python/name:os.system",
    "&a *a",
    "|",
    "é推荐😀",
    "\u200b",
    "\u202e",
)
TEXTS = st.lists(st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]))).map(
    "".join
)
NO_CRON = st.sampled_from(["@daily", "0 5 * * *", "*/5 0-3 1,2 # ?"])
ANSWERS = st.fixed_dictionaries(
    {
        "owner": TEXTS,
        "source": TEXTS.filter(bool),
        "schedule": NO_CRON,
        "slack": st.from_regex(r"#[\w.-]{1,20}", fullmatch=True),
        "engine": st.just("both"),
    }
)
WORST: dict[str, Any] = {
    "owner": "".join(HOSTILE) * 20,
    "source": "\"); import os; os.system('id') #{{ 7*7 }}",
    "schedule": "0 5 * * *",
    "slack": "#é",
    "engine": "both",
}


def columns(ready_made: str, names: list[str]) -> dict[str, Any]:
    """A name for each role, those of features between them."""
    usual = usual_columns(questions(find_template(ready_made)))
    return {
        role: [*names[-2:]] if isinstance(name, list) else chosen
        for (role, name), chosen in zip(usual.items(), names, strict=False)
    }


@pytest.mark.parametrize("ready_made", built_in())
@settings(max_examples=4, phases=(Phase.explicit, Phase.generate))
@given(answers=ANSWERS, names=st.lists(TEXTS.filter(bool), min_size=9, max_size=9, unique=True))
@example(answers=WORST, names=[f"{text}\"'\\{{{{ 7*7 }}}}" for text in "abcdefgh"] + ["x" * 5_000])
def test_answers_stay_what_they_are(ready_made: str, answers: dict[str, Any], names: list[str]) -> None:
    """In Python, YAML, TOML, Make and shell: read back, each is the answer, and nothing else has come with it."""
    given = {"name": "mine", **answers, "columns": columns(ready_made, names)}
    made = render(find_template(ready_made), given)
    assert made.answers == given
    files = {path: content.decode() for path, content in made.files.items()}
    assert defaults(files["mine/pipeline.py"]) == {
        "source": given["source"],
        "columns": {role: name for role, name in given["columns"].items() if name},
        "suite": "mine:suite.yaml",
        "owner": given["owner"],
        "schedule": given["schedule"],
        "on_failure": f"slack:{given['slack']}",
    } | ({} if given["owner"] else {"owner": None})
    for path, content in files.items():
        if path.endswith(".py"):
            ast.parse(content)
        elif path.endswith((".yml", ".yaml")):
            YAML(typ="safe", pure=True).load(content)
    assert tomllib.loads(files["pyproject.toml"])["project"]["name"] == "mine"
    flow = YAML(typ="safe", pure=True).load(files["prefect.yaml"])
    assert flow["deployments"][0]["schedules"][0]["cron"] == given["schedule"]
    assert (f" Ask {given['owner']}." in files["README.md"]) is bool(given["owner"])
    assert set(names_of_suite(files["mine/suite.yaml"])) <= set(flat(given["columns"]))
    harmless = render(find_template(ready_made), {**given, "owner": "", "source": "s3://b/t.csv"}).files
    for path in ("Makefile", ".gitignore", ".github/workflows/ci.yml"):
        assert files[path] == harmless[path].decode()
    assert variables(files[".env.example"]) == ["SLACK_BOT_TOKEN"]


def defaults(source: str) -> dict[str, Any]:
    """What a pipeline has of the answers: the defaults of its parameters, the options of its decorator."""
    tree = ast.parse(source)
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "mine")
    plain = function.args.args
    found = dict(zip((each.arg for each in plain[-len(function.args.defaults) :]), function.args.defaults, strict=True))
    call = found["columns"]
    assert isinstance(call, ast.Call)
    decorator = function.decorator_list[0]
    assert isinstance(decorator, ast.Call)
    options = {each.arg: each.value for each in decorator.keywords}
    return {
        "columns": {str(each.arg): ast.literal_eval(each.value) for each in call.keywords},
        **{key: ast.literal_eval(found[key]) for key in ("source", "suite")},
        **{
            key: ast.literal_eval(options[key]) if key in options else None
            for key in ("owner", "schedule", "on_failure")
        },
    }


def names_of_suite(text: str) -> list[str]:
    """The columns that the rules of a suite speak of."""
    suite = YAML(typ="safe", pure=True).load(text)
    said = [rule.get(key) for rule in suite["expectations"] for key in rule if key.startswith("column_")]
    return [each["column"] if isinstance(each, dict) else each for each in said if isinstance(each, (dict, str))]


def flat(columns: dict[str, Any]) -> list[str]:
    return [name for each in columns.values() for name in (each if isinstance(each, list) else [each])]


def variables(text: str) -> list[str]:
    """What a file of environment variables sets."""
    return re.findall(r"^\s*(?:export\s+)?(\w+)\s*=", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["a", "x" * 40])
@pytest.mark.parametrize("ready_made", built_in())
def test_a_project_of_any_name_is_formatted_and_sorted(ready_made: str, name: str, tmp_path: Path) -> None:
    """A short name lets lines be joined, a long one breaks them; neither is left to the owner."""
    answers = {"name": name, "owner": "推荐" * 30, "source": "s3://" + "y" * 200, "schedule": "0 5 * * *"}
    for path, content in render(find_template(ready_made), answers).files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache"], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


def test_the_name_of_something_in_the_pipeline_is_refused() -> None:
    """A project called like one of its steps would call itself."""
    with pytest.raises(ParameterError, match=r"name='validate' stands for something else in validate/pipeline\.py"):
        render(find_template("blank"), {"name": "validate"})


def test_the_files_of_an_engine_are_left_out_without_it() -> None:
    """Each choice has its own, and no empty ones."""
    found = {engine: set(render(find_template("blank"), {"name": "m", "engine": engine}).files) for engine in ENGINES}
    assert {engine: sorted(files - found["neither"]) for engine, files in found.items()} == ENGINES


AIRFLOW, PREFECT = ["dags/m_dag.py", "tests/test_dag.py"], ["flows/m_flow.py", "prefect.yaml", "tests/test_flow.py"]
ENGINES = {"airflow": AIRFLOW, "prefect": PREFECT, "both": sorted(AIRFLOW + PREFECT), "neither": []}


def test_an_answer_the_template_does_not_ask_for_is_refused() -> None:
    """With the nearest."""
    with pytest.raises(ParameterError, match=r"does not ask for 'ownr'\. Did you mean 'owner'\?"):
        render(find_template("blank"), {"name": "m", "ownr": "a"})


# --- templates of strangers -------------------------------------------------------------------------------------


def of(folder: Path, files: dict[str, str | bytes], more: str = "", **answers: str) -> dict[str, bytes]:
    """What a template renders to."""
    found = find_template(str(template(folder / "template", files, QUESTIONS + more)))
    return render(found, {"name": "mine", **answers}).files


def test_a_template_of_ones_own_is_plain_copier(tmp_path: Path) -> None:
    """Names and text are rendered, other files copied as they are; only Python has the placeholder."""
    files: dict[str, str | bytes] = {
        "{{ name }}.txt.jinja": "{{ owner }}",
        "logo.png": b"\x89PNG\0{{ name }}",
        "a.txt": "{{ name }} project_name",
        "b.py": "\ufeffimport project_name, project_names\n",
    }
    assert of(tmp_path, files, owner="{{ 7*7 }}") == {
        "mine.txt": b"{{ 7*7 }}",
        "logo.png": b"\x89PNG\0{{ name }}",
        "a.txt": b"{{ name }} project_name",
        "b.py": b"import mine, project_names\n",
    }


@pytest.mark.parametrize("suite", [True, False])
def test_a_pipeline_is_told_of_its_suite_only_where_there_is_one(suite: bool, tmp_path: Path) -> None:
    """The default of one's own template stays otherwise."""
    source = "@pipeline\ndef project_name(suite: str | None = None) -> None:\n    pass\n"
    files = {"{{ name }}/pipeline.py": source} | ({"{{ name }}/suite.yaml": "expectations: []\n"} if suite else {})
    made = of(tmp_path, files)["mine/pipeline.py"].decode()
    assert ("= None" in made) is not suite
    assert ('= "mine:suite.yaml"' in made) is suite


@settings(max_examples=8)
@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])))
@example("Größe 推荐 😀 \\u00e9 \\ud83d \ufffe \ufeff \u200b <&'\"> \U0010ffff")
def test_what_is_written_as_json_is_yaml_too(tmp_path_factory: pytest.TempPathFactory, owner: str) -> None:
    """To YAML an escape is a character, never half of one; letters stay legible."""
    content = of(tmp_path_factory.mktemp("json"), {"a.jinja": "{{ owner | tojson }}\n"}, owner=owner)["a"].decode()
    assert json.loads(content) == YAML(typ="safe", pure=True).load(content) == owner
    assert not re.search(r"\\u00[c-f]", content) or "\\u00" in owner


def test_a_template_that_asks_for_no_name_has_none(tmp_path: Path) -> None:
    """Nothing is exchanged then."""
    found = find_template(str(template(tmp_path, {"a.py": "project_name = 1\n"}, "x: {type: int, default: 3}\n")))
    made = render(found, {})
    assert (made.files, made.answers) == ({"a.py": b"project_name = 1\n"}, {"x": 3})


@pytest.mark.parametrize(
    ("files", "more"),
    [
        ({"{{ '..' }}/x.txt": ""}, ""),
        ({"{{ place }}.txt": ""}, "place: {type: str, default: ../../x}\n"),
        ({"{{ place }}.txt": ""}, "place: {type: str, default: /nowhere/x}\n"),
        ({"a.jinja": ""}, "_subdirectory: ../..\n"),
        ({"{{ _copier_conf.answers_file }}.jinja": ""}, "_answers_file: ../../x\n"),
        ({"a.jinja": "{{ _external_data.secrets }}"}, "_external_data: {secrets: /etc/passwd}\n"),
        ({"a": ""}, "---\n!include ../../../../../../etc/hostname\n"),
    ],
)
def test_a_template_that_leaves_its_folder_is_refused(tmp_path: Path, files: dict[str, str], more: str) -> None:
    """By the name of a file, a setting, an inclusion."""
    with pytest.raises(UsageError, match="wants to read or write outside of its folder"):
        of(tmp_path, dict(files), more)


@pytest.mark.parametrize(
    "more", ["_tasks: [touch x]\n", "_jinja_extensions: [this.Zen]\n", "_migrations: [{command: touch x}]\n"]
)
def test_a_template_that_wants_to_run_something_is_refused(tmp_path: Path, more: str) -> None:
    """Templates are files."""
    with pytest.raises(UsageError, match="Templates are files here, nothing more"):
        of(tmp_path, {"a": ""}, more)
    assert "this" not in sys.modules  # nor is it loaded before it is refused


def test_a_persons_trust_in_copier_is_none_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copier's own settings may trust a place with commands, and answer questions."""
    (tmp_path / "settings.yml").write_text("trust: ['/']\ndefaults: {owner: settings}\n")
    monkeypatch.setenv("COPIER_SETTINGS_PATH", str(tmp_path / "settings.yml"))
    assert of(tmp_path, {"a.jinja": "[{{ owner }}]"}) == {"a": b"[]"}
    with pytest.raises(UsageError, match="Templates are files here"):
        of(tmp_path, {"a": ""}, f"_tasks: [touch {tmp_path}/ran]\n")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("place", [".git/hooks/pre-commit", "sub/.GIT/config", ".git"])
def test_a_template_that_writes_into_git_is_refused(tmp_path: Path, place: str) -> None:
    """Git runs what lies there."""
    first, _, rest = place.partition("/")
    path = f"{{{{ '{first}' }}}}" + (f"/{{{{ '{rest.partition('/')[0]}' }}}}" if rest else "")
    path += "/" + rest.partition("/")[2] if "/" in rest else ""
    with pytest.raises(UsageError, match="wants to write into a git repository"):
        of(tmp_path, {path: "x"}, "_exclude: []\n")


@pytest.mark.parametrize("target", ["..", "/etc/hostname", ".", "../../template"])
def test_a_template_with_a_link_out_of_its_folder_is_refused(tmp_path: Path, target: str) -> None:
    """Also one to the folder it lies in, which has no end."""
    place = template(tmp_path / "template", {"sub/a": ""})
    (place / "sub" / "link").symlink_to(target if target != "." else place / "sub")
    with pytest.raises(UsageError, match=r"holds a link out of its folder: sub/link"):
        render(find_template(str(place)), {"name": "mine"})


def test_a_link_within_a_template_becomes_a_file(tmp_path: Path) -> None:
    """With what it points to."""
    place = template(tmp_path / "template", {"sub/a": "one"})
    (place / "b").symlink_to("sub/a")
    assert render(find_template(str(place)), {"name": "mine"}).files == {"b": b"one", "sub/a": b"one"}


@pytest.mark.parametrize(
    ("files", "more", "said"),
    [
        ({"sub/a.jinja": "\n{{ x"}, "", r"sub/a\.jinja, line 2: TemplateSyntaxError"),
        ({"a.jinja": "\n\n{{ nothing.at.all }}"}, "", r"a\.jinja, line 3: UndefinedError: 'nothing' is undefined"),
        ({"a.jinja": "{{ ''.__class__.__mro__ }}"}, "", "SecurityError"),
        ({"a.jinja": "{{ 1 / 0 }}"}, "", "ZeroDivisionError"),
        ({"a.jinja": "{% include '../../../etc/passwd' %}"}, "", "TemplateNotFound"),
        ({"a.jinja": b"\xff"}, "", "UnicodeDecodeError"),
        ({"{{ 'x' * 300 }}": ""}, "", "File name too long"),
        ({}, "a: [\n", r'ParserError: .* in "copier\.yml", line 4'),
        ({}, "---\n- 1\n", "holds no questions by key"),
        ({}, "x: {type: nonsense, default: 1}\n", 'Unsupported type "nonsense"'),
        ({}, "_min_copier_version: '99'\n", "requires Copier version >= 99"),
        ({"copier.yaml": ""}, "", "MultipleConfigFiles"),
        ({"{{ name }}/pipeline.py": "def ("}, "", r"makes a mine/pipeline\.py that is no Python"),
        ({"a.py": b"# \xff"}, "", r"makes a a\.py that is no Python"),
        ({}, "token: {type: str, secret: true, default: ''}\n", r"asks for a secret, token.*environment variable"),
    ],
)
def test_a_broken_template_is_told_with_the_place(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], files: dict[str, Any], more: str, said: str
) -> None:
    """In one sentence, by the names its author knows."""
    with pytest.raises(UsageError, match=said) as told:
        of(tmp_path, files, more)
    assert str(tmp_path / "template") in str(told.value)
    assert capfd.readouterr() == ("", "")


def test_a_question_that_must_be_answered_is_told(tmp_path: Path) -> None:
    """And an answer that its kind or its rule forbids."""
    with pytest.raises(ParameterError, match='Question "team" is required'):
        of(tmp_path, {}, "team: {type: str}\n")
    with pytest.raises(ParameterError, match=r"cannot take an answer: .*'ten'"):
        of(tmp_path, {}, "days: {type: int, default: 1}\n", days="ten")


def test_a_script_can_be_executed(tmp_path: Path) -> None:
    """What the template can, the project can."""
    place = template(tmp_path, {"run.sh": "#!/bin/sh\n", "a": ""})
    (place / "run.sh").chmod(0o755)
    assert render(find_template(str(place)), {"name": "mine"}).scripts == {"run.sh"}


def test_the_usual_columns_may_be_written_as_text(tmp_path: Path) -> None:
    """As Copier's documentation does; a template without columns has none."""
    for said, found in (("columns: {type: yaml, default: '{time: ts}'}\n", {"time": "ts"}), ("", {})):
        place = template(tmp_path, {"a": ""}, QUESTIONS + said)
        assert usual_columns(questions(find_template(str(place)))) == found
