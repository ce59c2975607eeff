"""What people answer: how it is read, and what is refused before it reaches a file."""

from __future__ import annotations

import keyword
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.errors import ParameterError
from ostinato.scaffold.answers import checked, columns_of, named_after, parsed, refuse_name, without_password

USUAL = {"time": "ts", "label_time": None, "features": ["amount"]}


def test_answers_are_read_from_the_command_line() -> None:
    """A value may hold what it likes, `=` too; columns are gathered by role."""
    said = parsed(["owner=a=b", "columns.card=cc_num", "columns.time=When?", "schedule="])
    assert said == {"owner": "a=b", "columns": {"card": "cc_num", "time": "When?"}, "schedule": ""}


@pytest.mark.parametrize("text", ["owner", "=x", "", "columns=ts", "columns.=ts"])
def test_an_answer_without_its_key_or_value_is_refused(text: str) -> None:
    """The message shows how it is written."""
    with pytest.raises(ParameterError, match=r"-a (key=value|columns\.ROLE=NAME)"):
        parsed([text])


@pytest.mark.parametrize("key", ["owner", "columns.time"])
def test_an_answer_given_twice_is_refused(key: str) -> None:
    """The second would silently win."""
    with pytest.raises(ParameterError, match=f"-a {key} is given twice"):
        parsed([f"{key}=a", f"{key}=b"])


@given(st.text(max_size=60) | st.sampled_from([*keyword.kwlist, *sorted(sys.stdlib_module_names), "data", "tests"]))
def test_every_folder_gives_a_name_that_a_project_may_have(folder: str) -> None:
    """Whatever it is called: in no alphabet of ours, like a module of Python's, very long, not at all."""
    refuse_name(named_after(folder))


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("Card Fraud-2", "card_fraud_2"),
        ("class", "class_"),
        ("json", "json_"),
        ("data", "data_"),
        ("2026", "project_2026"),
        ("Größe", "gr_e"),
        ("推荐", "project"),
        ("", "project"),
        ("9" * 50, "project_" + "9" * 32),
    ],
)
def test_a_name_resembles_its_folder(folder: str, name: str) -> None:
    """Small letters, digits and underscores; a letter first."""
    assert named_after(folder) == name


@pytest.mark.parametrize("name", ["", "Fraud", "2fast", "a-b", "a b", "größe", "class", "x" * 41, "a\n", "a.b", "_a"])
def test_a_name_that_cannot_name_a_package_is_refused(name: str) -> None:
    """With one that can."""
    with pytest.raises(ParameterError, match=rf"such as '{named_after(name)}'"):
        refuse_name(name)


@pytest.mark.parametrize("name", ["json", "sklearn", "tests", "data", "pytest", "project_name"])
def test_a_name_that_hides_something_is_refused(name: str) -> None:
    """`import json` in the project would find the project; `data/` is what git ignores."""
    with pytest.raises(ParameterError, match=rf"would hide: .*-a name={name}_"):
        refuse_name(name)


def test_an_unknown_engine_gives_the_nearest() -> None:
    """And all there are."""
    with pytest.raises(ParameterError, match=r"'airlfow'\. Did you mean 'airflow'\? Valid: 'airflow', 'prefect'"):
        checked({"engine": "airlfow"})


@pytest.mark.parametrize("schedule", ["0 5 * * *", "*/15 8-18 * * mon-fri", "@daily", "0 0 1,15 * ?", ""])
def test_a_cron_line_is_a_schedule(schedule: str) -> None:
    """Five fields or a nickname; nothing for none."""
    assert checked({"schedule": schedule}) == {"schedule": schedule}


@pytest.mark.parametrize("schedule", ["every day", "* * * *", "@sometimes", "0 5 * * * *", '0 5 * * "', "daily"])
def test_what_is_no_cron_line_is_refused(schedule: str) -> None:
    """With an example."""
    with pytest.raises(ParameterError, match=r'write five fields \("0 5 \* \* \*"\)'):
        checked({"schedule": schedule})


@pytest.mark.parametrize(("said", "kept"), [("ml-ops", "#ml-ops"), ("#ml-ops", "#ml-ops"), ("@ada", "@ada"), ("", "")])
def test_a_channel_is_kept_with_its_sign(said: str, kept: str) -> None:
    """People write it with `#` or without."""
    assert checked({"slack": said})["slack"] == kept


@pytest.mark.parametrize("slack", ["#", "ml ops", "#a,#b", '#a"', "https://hooks.slack.com/services/T/B/x"])
def test_what_is_no_channel_is_refused(slack: str) -> None:
    """A webhook above all: it is a secret."""
    with pytest.raises(ParameterError, match="is no channel"):
        checked({"slack": slack})


@given(
    st.sampled_from("\n\r\t\x00\x0b\x0c\x1b\x7f\x85\u2028\u2029\ud800\udfff"),
    st.text(max_size=5),
    st.sampled_from(["owner", "source", "schedule", "slack", "name", "columns", "features", "anything"]),
)
def test_control_characters_are_refused_in_every_answer(sign: str, text: str, key: str) -> None:
    """They could end a line of a generated file; halves of characters could not be written."""
    value = f"{text}{sign}{text}"
    answer: dict[str, dict[str, Any]] = {
        "columns": {"columns": {"time": value}},
        "features": {"columns": {"features": ["a", value]}},
    }
    with pytest.raises(ParameterError, match=r"line break or another control character"):
        checked(answer.get(key, {key: value}))


@pytest.mark.parametrize("key", ["name", "engine", "source", "schedule", "slack", "owner"])
def test_an_answer_of_another_kind_is_refused(key: str) -> None:
    """As a file of answers may hold that was edited by hand."""
    with pytest.raises(ParameterError, match=f"{key}=5 is no text"):
        checked({key: 5})


def test_a_column_that_is_not_named_is_the_usual_one() -> None:
    """Nothing stands for none, where the template can do without; a list is written with commas."""
    assert columns_of(USUAL, {}) == USUAL
    chosen = {"time": "When", "label_time": "", "features": "a, b c"}
    assert columns_of(USUAL, chosen) == {"time": "When", "label_time": None, "features": ["a", "b c"]}


def test_a_role_that_a_template_does_not_have_is_refused() -> None:
    """It would become a parameter that its dataclass does not have; with the nearest."""
    with pytest.raises(ParameterError, match=r"no column for 'tiem' .* Did you mean 'time'"):
        columns_of(USUAL, {"tiem": "ts"})
    with pytest.raises(ParameterError, match=r"no column for 'time=1\), evil\('"):
        columns_of(USUAL, {"time=1), evil(": "ts"})
    with pytest.raises(ParameterError, match=r"columns\.time is empty"):
        columns_of(USUAL, {"time": ""})


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("postgresql://ada:s3cret@db:5432/shop", "postgresql://ada@db:5432/shop"),
        (
            "postgresql+psycopg://ada:p@ss@w:r@db/shop?sslmode=require",
            "postgresql+psycopg://ada@db/shop?sslmode=require",
        ),
        ("mysql://db/shop?user=ada&password=s3cret", "mysql://db/shop?user=ada"),
        ("s3://bucket/t.parquet?s3_secret_access_key=x", "s3://bucket/t.parquet"),
        ("https://:token@example.com/t.csv", "https://@example.com/t.csv"),
    ],
)
def test_a_password_is_left_out_of_the_source(source: str, kept: str) -> None:
    """It would stand in code, in a file of answers, and in git for ever."""
    assert without_password(source) == kept
    with pytest.raises(ParameterError, match=r"holds a password, .* in the environment") as told:
        checked({"source": source})
    assert not any(secret in str(told.value) for secret in ("s3cret", "p@ss", "w:r", "token@", "=x"))
    assert checked({"source": kept}) == {"source": kept}


@pytest.mark.parametrize(
    "source", ["s3://b/a@b:c.csv", "postgresql://ada@db:5432/shop?sslmode=require", "/data/a:b@c.csv", "what?key=1", ""]
)
def test_a_source_without_a_password_stays(source: str) -> None:
    """Colons and signs of its own are no password."""
    assert without_password(source) == source
