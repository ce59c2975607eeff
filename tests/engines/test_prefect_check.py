"""`ostinato check` on flow files and prefect.yaml: Prefect itself loads them, and the error that it hides is shown."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import pytest

from ostinato.checks import Finding, check_all

pytest.importorskip("prefect", reason="Prefect is not installed here; its tests run in .venv-prefect")
pytestmark = pytest.mark.prefect

GOOD = """
from ostinato import pipeline, step
from ostinato.engines.prefect_flow import to_flow

@step
def note(text: str = "x") -> str:
    return text

@pipeline
def nightly(source: str = "x") -> None:
    note(source)

nightly = to_flow(nightly)
"""
HAND_MADE = """
from typing import Annotated, Literal

from prefect import flow
from pydantic import AfterValidator, BaseModel, Field

def even(number: int) -> int:
    if number % 2:
        raise ValueError("an odd number")
    return number

class Columns(BaseModel):
    time: str = "ts"
    days: int = 7

@flow
def fraud(
    data: str,
    floor: Annotated[float, Field(le=1)] = 0.5,
    columns: Columns = Columns(),
    kind: Literal["a", "b"] | None = None,
    n: Annotated[int, AfterValidator(even)] = 2,
) -> None: ...
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    """A folder of flow files."""
    place = tmp_path / "project"
    (place / "flows").mkdir(parents=True)
    return place


@pytest.fixture
def fraud(folder: Path) -> Path:
    """A flow file, written by hand."""
    (folder / "flows" / "fraud.py").write_text(HAND_MADE)
    return folder


def flows(path: Path) -> dict[str, tuple[bool, str]]:
    """What is said of the files, by their names and lines."""
    found = [finding for finding in check_all(str(path)) if finding.subject.startswith(str(path))]
    named = {finding.subject.removeprefix(f"{path}").lstrip("/"): (finding.ok, finding.message) for finding in found}
    assert len(named) == len(found), found
    return named


def problems(folder: Path, *deployments: str) -> list[tuple[int, str]]:
    """What is wrong with deployments of the hand-made flow, with the line within each; its first is the third."""
    starts = [f"- name: weekly\n  entrypoint: flows/fraud.py:fraud\n{text}\n" for text in deployments]
    lines = [0, *accumulate(start.count("\n") for start in starts)]
    (folder / "prefect.yaml").write_text(f"deployments:\n{''.join(starts)}")
    found = {place: said for place, said in flows(folder).items() if place.startswith("prefect.yaml")}
    if found == {"prefect.yaml": (True, f"{len(deployments)} deployment{'s' * (len(deployments) > 1)}")}:
        return []
    assert not any(ok for ok, _ in found.values())
    said = [(int(place.rpartition(":")[2]) - 1, message) for place, (_, message) in found.items()]
    return [(line - max(start for start in lines if start < line), message) for line, message in said]


def test_a_flow_is_counted(folder: Path) -> None:
    """Its parameters; its deployments only where a prefect.yaml tells them."""
    (folder / "nightly.py").write_text(GOOD)
    (finding,) = [one for one in check_all(str(folder / "nightly.py")) if "nightly" in one.subject]
    assert finding == Finding(f"{folder}/nightly.py:nightly", True, finding.message)
    assert finding.message.startswith("flow nightly, ")
    assert finding.message.endswith(" parameters")
    (folder / "prefect.yaml").write_text("deployments: []")
    assert flows(folder) == {
        "nightly.py:nightly": (True, f"{finding.message}, 0 deployments"),
        "prefect.yaml": (True, "0 deployments"),
    }


def test_each_file_shows_its_error_at_its_line(folder: Path) -> None:
    """A module that is missing, a pipeline that cannot be traced, an exit, a slip, a value; none hides the next."""
    (folder / "a_good.py").write_text(GOOD)
    (folder / "b_missing.py").write_text(GOOD + "import nonesuch\n")
    (folder / "c_untraced.py").write_text(GOOD.replace("note(source)", "note(sauce)"))
    (folder / "d_exit.py").write_text(GOOD + "raise SystemExit('no')\n")
    (folder / "e_slip.py").write_text(GOOD + "def (:\n")
    (folder / "f_unbound.py").write_text(GOOD.replace("nightly = ", ""))
    (folder / "g_option.py").write_text(GOOD.replace("to_flow(nightly)", "to_flow(nightly, source=[1])"))
    found = flows(folder)
    assert found.pop("a_good.py:nightly")[0]
    assert "source" in found.pop("g_option.py:13")[1]  # raised far below
    assert found.pop("f_unbound.py")[1].startswith("makes no flow that Prefect finds: write name = to_flow(…)")
    assert found == {
        "b_missing.py:14": (False, "ModuleNotFoundError: No module named 'nonesuch'"),
        "c_untraced.py:11": (False, "NameError: name 'sauce' is not defined"),
        "d_exit.py:14": (False, "SystemExit: no"),
        "e_slip.py:14": (False, "SyntaxError: invalid syntax"),
    }


def test_a_flow_is_bound_to_the_name_of_its_function(folder: Path) -> None:
    """Under another name, serve() would not find it; what to write is said."""
    (folder / "nightly.py").write_text(GOOD.replace("nightly = to_flow", "every_night = to_flow"))
    ((place, (ok, said)),) = flows(folder).items()
    assert (place, ok) == ("nightly.py:every_night", False)
    assert said.startswith("its function is called nightly, by which serve() and to_deployment() look for it here")
    assert said.endswith("write nightly = to_flow(…)")


def test_a_flow_made_inside_a_function_is_told_to_come_out(folder: Path) -> None:
    """No name of the file leads to it."""
    made = "def make():\n    def inner(): ...\n    return to_flow(inner)\ninner = make()"
    made = f"from prefect import flow as to_flow\n{made}"
    (folder / "nightly.py").write_text(made)
    assert flows(folder)["nightly.py:inner"][1].endswith("move it to the top level")


def test_what_a_file_imports_is_not_its_own(folder: Path) -> None:
    """A flow is counted where it is made."""
    (folder / "mine.py").write_text(GOOD)
    both = "from mine import nightly as other\nfrom ostinato.engines.prefect_flow import to_flow\n"
    (folder / "nightly.py").write_text(f"{both}{GOOD.replace('nightly', 'weekly')}")
    assert {place: ok for place, (ok, _) in flows(folder).items()} == {
        "mine.py:nightly": True,
        "nightly.py:weekly": True,
    }


def test_a_file_in_the_way_is_not_taken_for_prefect(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever lies where `ostinato check` is called."""
    (folder / "prefect.py").write_text("raise SystemExit('not me')")
    (folder / "nightly.py").write_text(GOOD)
    monkeypatch.chdir(folder)
    assert [ok for ok, _ in flows(folder).values()] == [True]


def test_a_flow_may_take_the_name_of_the_pipeline_that_was_imported(folder: Path) -> None:
    """What is bound anew is the file's own."""
    start = "from ostinato.engines.prefect_flow import to_flow\nfrom ostinato.pipelines.data_validation import"
    (folder / "flow.py").write_text(f"{start} data_validation\ndata_validation = to_flow(data_validation)\n")
    assert list(flows(folder)) == ["flow.py:data_validation"]


def test_a_prefect_that_does_not_start_is_a_finding(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the last thing it said."""
    (folder / "nightly.py").write_text(GOOD)
    monkeypatch.setenv("PREFECT_API_REQUEST_TIMEOUT", "perhaps")
    ((place, (ok, said)),) = flows(folder).items()
    assert (place, ok) == ("", False)
    assert said.startswith("Prefect cannot load flow files here: Input should be a valid number")
    assert "perhaps" in said


def test_no_prefect_is_set_up_by_looking(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a home yet, Prefect gets a passing one."""
    (tmp_path / "person").mkdir()
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    (folder / "nightly.py").write_text(GOOD)
    assert [ok for ok, _ in flows(folder).values()] == [True]
    assert not list((tmp_path / "person").iterdir())


# --- prefect.yaml -----------------------------------------------------------------------------------------------------


def test_sound_deployments_are_counted(fraud: Path) -> None:
    """However their flow is named; one that only whoever deploys knows is passed over."""
    (fraud / "prefect.yaml").write_text(
        "deployments:\n"
        "- {name: a, entrypoint: flows/fraud.py:fraud, parameters: {data: x, floor: 0.5, n: 4, kind: b}}\n"
        "- {name: b, entrypoint: flows.fraud.fraud}\n"
        "- {name: c, entrypoint: 'flows.fraud:fraud'}\n"
        "- {name: d, entrypoint: '{{ $FLOW }}'}\n"
    )
    expected = {
        "flows/fraud.py:fraud": (True, "flow fraud, 5 parameters, 3 deployments"),
        "prefect.yaml": (True, "3 deployments"),
    }
    assert flows(fraud) == expected
    assert flows(fraud / "prefect.yaml")[""] == (True, "3 deployments")


def test_each_prefect_yaml_looks_for_flows_from_its_own_folder(fraud: Path) -> None:
    """A repository may hold several projects; a flow file belongs to the nearest."""
    (fraud / "below").mkdir()
    (fraud / "nightly.py").write_text(GOOD)
    (fraud / "below" / "nightly.py").write_text(GOOD)
    (fraud / "prefect.yaml").write_text("deployments:\n- {name: a, entrypoint: flows/fraud.py:fraud}")
    (fraud / "below" / "prefect.yaml").write_text("deployments:\n- {name: a, entrypoint: nightly.py:nightly}")
    found = {place: (ok, said.rpartition(", ")[2]) for place, (ok, said) in flows(fraud).items()}
    assert found == {
        "below/nightly.py:nightly": (True, "1 deployment"),
        "below/prefect.yaml": (True, "1 deployment"),
        "flows/fraud.py:fraud": (True, "1 deployment"),
        "nightly.py:nightly": (True, "0 deployments"),
        "prefect.yaml": (True, "1 deployment"),
    }


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("deployments: [", "prefect.yaml:1", "this is no YAML: "),
        ("\0", "prefect.yaml", "this is no YAML: "),
        ("", "prefect.yaml", "a prefect.yaml is a mapping with `deployments:`, not 'None'"),
        ("a: 1\ndeployments: {name: x}", "prefect.yaml:2", "deployments is a list"),
        ("deployments:\n- weekly", "prefect.yaml:2", "a deployment is a mapping, not 'weekly'"),
        (
            "deployments:\n- name: weekly",
            "prefect.yaml:2",
            "weekly names no flow: write `entrypoint: flows/file.py:flow`",
        ),
    ],
)
def test_a_prefect_yaml_of_another_form_is_a_finding(text: str, place: str, message: str, fraud: Path) -> None:
    """With its line, where there is one."""
    (fraud / "prefect.yaml").write_text(text)
    (found,) = [(where, said) for where, (ok, said) in flows(fraud).items() if not ok]
    assert found[0] == place
    assert found[1].startswith(message)


@pytest.mark.parametrize(
    ("entrypoint", "message"),
    [
        ("flows/frod.py:fraud", "weekly: there is no file flows/frod.py in "),
        ("flows/fraud.py:frod", "weekly: frod in flows/fraud.py is not there. Did you mean 'fraud'? Valid: 'fraud'."),
        ("flows/fraud.py:even", "weekly: even in flows/fraud.py is a function, no flow"),
        ("flows.frod.fraud", "weekly: flows.frod.fraud cannot be loaded: ModuleNotFoundError: No module named"),
    ],
)
def test_an_entrypoint_that_leads_nowhere_is_a_finding(entrypoint: str, message: str, fraud: Path) -> None:
    """Once, at its line, with the nearest that is there; what else the deployment says is not judged."""
    rest = "parameters: {nonsense: 1}\n  triggers: [{parameters: {nonsense: 1}}]"
    (fraud / "prefect.yaml").write_text(f"deployments:\n- name: weekly\n  entrypoint: {entrypoint}\n  {rest}")
    (found,) = [(where, said) for where, (ok, said) in flows(fraud).items() if not ok]
    assert found[0] == "prefect.yaml:3"
    assert found[1].startswith(message)


def test_the_error_that_prefect_hides_is_said(fraud: Path) -> None:
    """At its line of the flow file, and at the deployment that needs it."""
    (fraud / "flows" / "fraud.py").write_text("from prefect import flow\nimport nonesuch\n\n@flow\ndef fraud(): ...\n")
    (fraud / "prefect.yaml").write_text("deployments:\n- {name: a, entrypoint: flows/fraud.py:fraud}")
    assert flows(fraud) == {
        "flows/fraud.py:2": (False, "ModuleNotFoundError: No module named 'nonesuch'"),
        "prefect.yaml:2": (
            False,
            "a: flows/fraud.py:fraud cannot be loaded: ModuleNotFoundError: No module named 'nonesuch'",
        ),
    }


REFUSED = [
    ("  parameters: {floor: 3}", 3, "weekly: floor: 3 is greater than the maximum of 1"),
    ("  parameters:\n    data: x\n    floor: high", 5, "weekly: floor: 'high' is not of type 'number'"),
    ("  parameters:\n    columns: {days: soon}", 4, "weekly: columns.days: 'soon' is not of type 'integer'"),
    ("  parameters: {floor: 1e-3}", 3, "weekly: floor: '1e-3' is not of type 'number'"),  # to Prefect's reader
    ("  parameters:\n    n: 3", 4, "weekly: n: Value error, an odd number"),
    ("  parameters: {flor: 1}", 3, "weekly: the flow has no parameter 'flor'; Prefect takes it, and every run fails."),
    (
        "  schedules:\n  - {cron: 0 3 * * 1, slug: monday, parameters: {floor: 2, data: x}}",
        4,
        "weekly, schedule monday: floor: 2 is greater than the maximum of 1",
    ),
    (
        "  triggers:\n  - name: degraded\n    parameters: {data: x, flor: 1}",
        5,
        "weekly, trigger degraded: the flow has no parameter 'flor'",
    ),
    (
        "  parameters: {floor: 0.2}\n  schedules:\n  - cron: 0 3 * * 1",
        5,
        "weekly, schedule 1: starts runs without data, and there is no default",
    ),
]


def test_what_the_flow_would_refuse_is_said(fraud: Path) -> None:
    """By deployment, schedule or trigger, at its line."""
    found = problems(fraud, *(text for text, _, _ in REFUSED))
    for (line, said), (_, expected, message) in zip(found, REFUSED, strict=True):
        assert line == expected, said
        assert said.startswith(message)


TEXTS = [
    '{__prefect_kind: jinja, template: "{{ event.payload.floor }}"}',
    '"0.{{ event.payload.floor }}"',
    '"{{ event.payload.a }}{{ event.payload.b }}"',
    '"{{ event.payload.floor | tojson }}"',
    '"{% if event.payload.floor %}1{% endif %}"',
]


def test_a_template_that_gives_a_text_for_a_number_is_refused(fraud: Path) -> None:
    """The server would refuse the run, and retraining would silently never happen; the form to write is said."""
    start = "  triggers:\n  - name: degraded\n    parameters:\n      data: x\n      floor: "
    found = problems(fraud, *(start + text for text in TEXTS))
    assert len(found) == len(TEXTS)
    for line, said in found:
        assert line == 7
        assert said.startswith("weekly, trigger degraded: floor: ")
        assert "gives a text, which the flow does not take: the server would refuse each run (409)" in said
        assert "Write {__prefect_kind: json, value: {__prefect_kind: jinja, template: " in said


def test_the_form_to_write_holds_the_expression_that_was_written(fraud: Path) -> None:
    """It can be pasted, and is sound then."""
    start, written = "  triggers: [{parameters: {data: x, floor: ", '{__prefect_kind: jinja, template: "{{ event.f }}"}'
    ((_, said),) = problems(fraud, f"{start}{written}}}}}]")
    form = said.partition("Write ")[2]
    assert "{{ event.f | tojson }}" in form
    assert problems(fraud, f"{start}{form}}}}}]") == []


def test_a_template_within_a_mapping_is_judged_by_its_own_type(fraud: Path) -> None:
    """A text is right for one member and wrong for the other."""
    text = '  triggers: [{name: a, parameters: {data: x, columns: {time: "{{ event.a }}-x", days: "{{ event.a }}0"}}}]'
    ((_, said),) = problems(fraud, text)
    assert said.startswith("weekly, trigger a: columns.days: '{{ event.a }}0' gives a text")


def test_what_the_file_cannot_tell_is_left_to_prefect(fraud: Path) -> None:
    """Values that come from an event, a variable, a block or the environment, and texts where texts are wanted."""
    fine = [
        '  triggers: [{parameters: {data: "s3://{{ event.payload.uri }}", kind: "{{ event.payload.kind }}-x"}}]',
        '  triggers: [{parameters: {data: {__prefect_kind: jinja, template: "{{ event.payload.uri }}"}}}]',
        '  triggers: [{parameters: {data: x, floor: "{{ event.payload.floor }}"}}]',  # alone, it keeps its type
        "  triggers: [{parameters: {data: x, floor: {__prefect_kind: workspace_variable, variable_name: floor}}}]",
        '  parameters: {floor: "{{ $FLOOR }}", columns: {days: "{{ prefect.variables.days }}"}}',
        "  parameters: {data: {$ref: {block_document_id: 1}}}",
        "  parameters: {data: x}\n  schedules: [{cron: 0 3 * * 1}]\n  triggers: [{parameters: {floor: 0.3}}]",
        "  schedules: [{cron: 0 3 * * 1, active: false}]\n  triggers: [{enabled: false}]",  # they start nothing
        "  parameters: &all {data: x}\n  schedules: [{cron: 0 3 * * 1, parameters: {<<: *all, n: 4}}]",
    ]
    assert problems(fraud, *fine) == []
