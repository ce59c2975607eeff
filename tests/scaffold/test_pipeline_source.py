"""A pipeline's source made a project's own: what is put in, where, and how it is spelled."""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.scaffold.pipeline_source import literal, names_in, renamed, with_answers

TEXTS = st.text(max_size=40) | st.text("'\"\\{}#\n $()</>é€\u200b\U0001f600", max_size=40)
VALUES = TEXTS | st.integers() | st.booleans() | st.none() | st.lists(TEXTS, max_size=4)
SIGNS = st.characters(min_codepoint=0x20, max_codepoint=0x24F, exclude_categories=["Cc", "Cf"]) | st.sampled_from(
    "推荐😀ά"
)
OF_ONE_LINE = st.text(SIGNS, max_size=90)


def defaults(source: str, name: str = "fraud") -> dict[str, str]:
    """The default of each parameter of a function, as source."""
    function = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == name)
    plain = function.args.posonlyargs + function.args.args
    found = zip(plain[len(plain) - len(function.args.defaults) :], function.args.defaults, strict=True)
    named = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    return {arg.arg: ast.unparse(value) for arg, value in [*found, *named] if value is not None}


@given(VALUES)
def test_a_literal_is_read_back_as_the_value(value: Any) -> None:
    """Whatever quotes, backslashes and braces it holds."""
    assert ast.literal_eval(literal(value)) == value


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        ("plain", '"plain"'),
        ('a "quoted" word', "'a \"quoted\" word'"),
        ("it's", '"it\'s"'),
        ("""both ' and " """, '"both \' and \\" "'),
        ("back\\slash", '"back\\\\slash"'),
        ("\\'", '"\\\\\'"'),
        (["a", "b"], '["a", "b"]'),
        (None, "None"),
    ],
)
def test_a_literal_is_spelled_as_formatters_do(value: Any, spelled: str) -> None:
    """In double quotes, unless that takes more backslashes."""
    assert literal(value) == spelled


SOURCE = '''\
"""Größe, 推荐, 😀: what stands before must not shift the places."""

x = "ä"; y = 1


@pipeline(default_as_of=day, title="é")
def fraud(source: str, columns: Columns = Columns(), *, suite: str | None = None, seed: int = 7) -> None:
    """Docs."""
'''


def test_answers_become_defaults_and_options() -> None:
    """Where the parameter has a default and where it has none; what else stands there stays."""
    given_ = {"source": "s3://b/ü.csv", "columns": {"id": "tx", "label": None}, "suite": "f:s.yaml", "model": "fraud"}
    made = with_answers(SOURCE, "fraud", given_, {"owner": "Ö", "schedule": "@daily"})
    assert defaults(made) == {
        "source": "'s3://b/ü.csv'",
        "columns": "Columns(id='tx')",
        "suite": "'f:s.yaml'",
        "seed": "7",
    }
    assert '@pipeline(owner="Ö", schedule="@daily", default_as_of=day, title="é")' in made
    assert made.startswith('"""Größe, 推荐, 😀: what stands before must not shift the places."""\n\nx = "ä"; y = 1\n')
    assert made.endswith('    """Docs."""\n')


@pytest.mark.parametrize(
    ("decorator", "becomes"),
    [
        ("@pipeline", '@pipeline(owner="a")'),
        ("@pipeline()", '@pipeline(owner="a")'),
        ("@ostinato.pipeline", '@ostinato.pipeline(owner="a")'),
        ("@pipeline(\n    owner='old',\n    schedule=when,\n)", '@pipeline(owner="a", schedule=when)'),
        ("@pipeline(\n    x=(1 +\n    2)\n)", '@pipeline(\n    owner="a",\n    x=1 +\n    2,\n)'),
        ("@pipeline(one, *more, **rest)", '@pipeline(one, *more, owner="a", **rest)'),
        ("@other\n@pipeline\n@more", '@other\n@pipeline(owner="a")\n@more'),
    ],
)
def test_options_are_added_to_any_form_of_the_decorator(decorator: str, becomes: str) -> None:
    """Bare, called, over many lines, among others; an option that was there is given anew."""
    made = with_answers(f"{decorator}\ndef fraud() -> None: ...\n", "fraud", {}, {"owner": "a"})
    assert made == f"{becomes}\ndef fraud() -> None: ...\n"
    ast.parse(made)


@pytest.mark.parametrize(
    "source",
    [
        "def fraud(source='a'): ...\n",
        "@pipeline\ndef other(source='a'): ...\n",
        "@step\ndef fraud(source='a'): ...\n",
        "@pipelines\ndef fraud(source='a'): ...\n",
        "class Fraud:\n    @pipeline\n    def fraud(source='a'): ...\n",
        "",
    ],
)
def test_what_is_not_the_pipeline_stays(source: str) -> None:
    """Another function, another decorator, no function at all."""
    assert with_answers(source, "fraud", {"source": "b"}, {"owner": "a"}) == source


@pytest.mark.parametrize("signature", ["a, b=1, /, source=2, *, suite", "source, /, a, *, suite=3", "*, suite, source"])
def test_parameters_of_every_kind_get_their_defaults(signature: str) -> None:
    """By position only, by either, by keyword only; with and without one."""
    source = f"@pipeline\ndef fraud({signature}): ...\n"
    rest = {"source": "b"} if ", a" not in signature else {}  # one without a default must not follow one with
    made = defaults(with_answers(source, "fraud", {**rest, "suite": "c"}, {}))
    assert {key: made[key] for key in (*rest, "suite")} == {**dict.fromkeys(rest, "'b'"), "suite": "'c'"}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_ends_of_lines_stay(end: str) -> None:
    """As on Windows, too."""
    source = f'"""Ä."""{end}{end}@pipeline{end}def fraud(source: str = "a") -> None: ...{end}'
    made = with_answers(source, "fraud", {"source": "b"}, {"owner": "c"})
    assert made == source.replace("@pipeline", '@pipeline(owner="c")').replace('"a"', '"b"')


@pytest.mark.parametrize(("name", "found"), [("frauds", False), ("a_fraud", False), ("fraud", True)])
def test_only_the_whole_name_is_exchanged(name: str, found: bool) -> None:
    """Not the part of a longer one."""
    assert (renamed(f"x = {name}.y", "fraud", "mine") == "x = mine.y") is found


def test_names_are_all_that_stands_for_something() -> None:
    """A project of the same name would take its place."""
    found = names_in("import a.b, c as d\nfrom e import f\ndef g(h, *i): j = k\nclass L: ...\n")
    assert found == set("adfghijkL")


def formatted(source: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--line-length", "120", "--isolated", "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout


MANY_LINES = '''\
@pipeline(default_as_of=day)
def fraud(
    source: str,
    columns: Columns = Columns(),
    suite: str | None = None,
) -> None:
    """Docs."""
'''


@pytest.mark.parametrize("sign", ["a", "推", "é", "e\u0301", "\\", '"'])
def test_a_line_is_broken_where_a_formatter_would(sign: str) -> None:
    """At its limit, which is counted in columns: some letters take two, accents that stand alone none."""
    made = ""
    for length in [*range(20, 62), *range(80, 122)]:
        roles, options = {"id": sign * length, "features": [sign * (length // 2), "b"]}, {"owner": sign * length}
        made += with_answers(MANY_LINES, "fraud", {"columns": roles}, {}) + "\n\n"
        made += with_answers(MANY_LINES, "fraud", {"columns": {"id": sign * length}}, options) + "\n\n"
        made += with_answers(MANY_LINES, "fraud", {"columns": {"features": roles["features"]}}, {}) + "\n\n"
    assert formatted(made) == made.rstrip("\n") + "\n"


@settings(max_examples=8)
@given(st.lists(st.lists(OF_ONE_LINE, min_size=9, max_size=9), min_size=10, max_size=10))
def test_a_formatter_finds_nothing_to_do(samples: list[list[str]]) -> None:
    """However long the answers: what fits is on one line, what does not has a line for each."""
    made = ""
    for source, owner, schedule, suite, *columns in samples:
        roles = {"id": columns[0], "features": columns[1:], "time": columns[0]}
        options = {"owner": owner, "schedule": schedule}
        made += with_answers(MANY_LINES, "fraud", {"source": source, "columns": roles, "suite": suite}, options)
        made += "\n\n"
    assert formatted(made) == made.rstrip("\n") + "\n"
