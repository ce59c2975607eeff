"""Drawings of a graph: as text for a terminal, as Mermaid for a page."""

from __future__ import annotations

from typing import Any

import pytest

from ostinato import Dataset, Model, Verdict, drawing, each, either, otherwise, pipeline, step, when


@step
def load(source: str) -> Dataset: ...  # type: ignore[empty-body]
@step
def train(data: Dataset, rate: float = 0.1) -> Model: ...  # type: ignore[empty-body]
@step
def judge(model: Model) -> Verdict: ...  # type: ignore[empty-body]
@step
def fit(region: str) -> Model: ...  # type: ignore[empty-body]
@step
def note(text: Any) -> None: ...


@pipeline
def fraud(source: str = "x", wanted: bool = True) -> None:
    data = load(source)
    verdict = judge(train(data, rate=0.2))
    with when(verdict.passed):
        first = train(data)
    with otherwise():
        second = train(data)
    either(first, second)
    with when(wanted):
        note.with_options(after=(verdict,))({"rows": [data.rows, None]})
    each(fit, over=["eu", "us"])


def test_a_graph_is_drawn_as_text() -> None:
    """A line a node: what it reads, under which condition, after what."""
    assert drawing.text(fraud.graph) == "\n".join(
        [
            "fraud",
            "  load         source=source",
            "  train        data=load, rate=0.2",
            "  judge        model=train",
            "  train_2      data=load  when judge.passed",
            "  train_3      data=load  when not judge.passed",
            "  either       first=train_2, second=train_3",
            "  note         text={rows: [load.rows, None]}  when wanted  after judge",
            "  fit          each of ['eu', 'us']:",
            "  collect_fit  items=fit",
        ]
    )


def test_a_graph_is_drawn_as_mermaid() -> None:
    """Nodes by kind, arrows by what they mean; labels are quoted, whatever is in them."""
    lines = drawing.mermaid(fraud.graph).splitlines()
    assert lines[0] == "flowchart LR"
    for line in (
        "    load[load]",
        "    either{{either}}",
        "    fit[[fit]]",
        "    load --> train",
        '    judge -->|"judge.passed"| train_2',
        '    judge -->|"not judge.passed"| train_3',
        "    judge -.-> note",
        "    fit --> collect_fit",
    ):
        assert line in lines, line


def test_every_node_and_every_need_is_in_the_diagram() -> None:
    """Nothing is left out."""
    lines = drawing.mermaid(fraud.graph).splitlines()
    assert len(lines) == 1 + len(fraud.graph.nodes) + sum(len(node.needs) for node in fraud.graph.nodes)


def test_two_conditions_on_one_step_are_both_drawn() -> None:
    """On the same arrow."""

    @step
    def look() -> tuple[bool, bool]: ...  # type: ignore[empty-body]

    @pipeline
    def gated() -> None:
        first, second = look()
        with when(first), when(second):
            note(1)

    assert '    look -->|"look[0] and look[1]"| note' in drawing.mermaid(gated.graph).splitlines()


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"$step": "split", "path": [0, "rows"]}, "split[0].rows"),
        ({"$parameter": "columns", "path": ["time"]}, "columns.time"),
        ({"a": [1, "b"]}, "{a: [1, 'b']}"),
        (None, "None"),
    ],
)
def test_an_input_is_spelled_as_the_pipeline_wrote_it(spec: Any, text: str) -> None:
    """Not as JSON."""
    assert drawing.spell(spec) == text
