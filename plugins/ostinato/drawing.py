"""A graph as text for a terminal and as a Mermaid diagram."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .graph import Graph, Node


def text(graph: Graph) -> str:
    """One line a node: what it reads and under which condition it runs."""
    width = max(len(node.name) for node in graph.nodes)
    return "\n".join([graph.pipeline, *(f"  {node.name:<{width}}  {_line(node)}".rstrip() for node in graph.nodes)])


def _line(node: Node) -> str:
    reads = ", ".join(f"{name}={value}" for name, value in _named(node))
    guards = "".join(f"  when {'' if guard.expected else 'not '}{spell(guard.flag)}" for guard in node.guards)
    after = f"  after {', '.join(node.after)}" if node.after else ""
    kind = f"each of {spell(node.over)}: " if node.kind == "map" else ""
    return f"{kind}{reads}{guards}{after}"


def _named(node: Node) -> Iterator[tuple[str, str]]:
    for name, spec in node.inputs.items():
        yield name, spell(spec)


def spell(spec: Any) -> str:
    """An input as the pipeline wrote it: `evaluate.passed`, `columns.time`, `[1, 2]`."""
    if isinstance(spec, Mapping):
        head = spec.get("$step", spec.get("$parameter"))
        if head is not None:
            return str(head) + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in spec["path"])
        return "{" + ", ".join(f"{key}: {spell(value)}" for key, value in spec.items()) + "}"
    if isinstance(spec, (list, tuple)):
        return "[" + ", ".join(spell(value) for value in spec) + "]"
    return repr(spec)


def mermaid(graph: Graph) -> str:
    """A `flowchart` for Markdown, Airflow's docs and reports."""
    lines = ["flowchart LR"]
    for node in graph.nodes:
        shape = ("{{", "}}") if node.kind == "either" else ("[[", "]]") if node.kind == "map" else ("[", "]")
        lines.append(f"    {node.name}{shape[0]}{node.name}{shape[1]}")
    for node in graph.nodes:
        for need in node.needs:
            guards = [guard for guard in node.guards if guard.flag.get("$step") == need]
            conditions = " and ".join(f"{'' if guard.expected else 'not '}{spell(guard.flag)}" for guard in guards)
            label = f'|"{conditions}"|' if guards else ""
            arrow = "-.->" if need in node.after else "-->"
            lines.append(f"    {need} {arrow}{label} {node.name}")
    return "\n".join(lines)
