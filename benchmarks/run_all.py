"""Measure everything and write benchmarks/RESULTS.md.

make bench                      all of it: about half an hour
make bench BENCH=--quick        fewer rows and repeats, printed, not written
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import airflow_engine  # noqa: E402
import drafting  # noqa: E402
import engine  # noqa: E402
import features  # noqa: E402
import judgement  # noqa: E402
import pipeline  # noqa: E402
import promotion  # noqa: E402
import quarantine  # noqa: E402
import report  # noqa: E402
import sample_data  # noqa: E402
import validation  # noqa: E402

LIBRARIES = ("duckdb", "great-expectations", "scikit-learn", "mlflow-skinny", "pyarrow", "pandas", "sqlalchemy")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rows and repeats; nothing is written")
    quick = parser.parse_args().quick
    sizes = [100_000, 1_000_000] if quick else [100_000, 1_000_000, 10_000_000]
    text = "\n".join(
        [
            *_head(),
            # the smaller, the noisier
            *_features([row for rows in sizes for row in features.measure([rows], _repeats(rows, quick))]),
            *_validation(validation.measure([1_000_000] if quick else [1_000_000, 10_000_000], 1 if quick else 3)),
            *_quarantine(quarantine.measure(repeats=1 if quick else 7)),
            *_drafting(drafting.measure([1_000_000] if quick else [1_000_000, 10_000_000], 1 if quick else 3)),
            *_pipeline(pipeline.measure(100_000 if quick else 1_000_000, 1 if quick else 3)),
            *_judgement(judgement.measure(100_000 if quick else 1_000_000, 1 if quick else 3)),
            *_promotion(promotion.measure(rounds=5 if quick else 100)),
            *_report(report.measure(100_000 if quick else 1_000_000, 1 if quick else 5)),
            *_engine(engine.measure(3 if quick else 9)),
            *_airflow(airflow_engine.measure(3 if quick else 15)),
            *_sample(sample_data.measure(repeats=2 if quick else 7)),
        ]
    )
    print(text)
    if not quick:
        (HERE / "RESULTS.md").write_text(text + "\n", encoding="utf-8")


def _repeats(rows: int, quick: bool) -> int:
    return 1 if quick else 3 if rows > 1_000_000 else 9


def _head() -> list[str]:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}"
    return [
        "# Measurements",
        "",
        "Made by `make bench`. Ratios are of CPU seconds, side by side in one run: the ways take turns, each in a",
        "process of its own; figures are medians. Wall times depend on what else the machine does.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {machine}, Python {platform.python_version()}, {versions}.",
    ]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["", *("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)]


def _features(found: Sequence[dict[str, Any]]) -> list[str]:
    rows = [
        (
            f"{row['rows']:,}",
            f"**{row['cpu_ratio']}**",
            f"{row['ours_cpu']} / {row['hand_cpu']}",
            f"{row['ours_wall']} / {row['hand_wall']}",
            f"{row['ours_peak_mb']:.0f} / {row['hand_peak_mb']:.0f}",
            f"{row['ours_cpu'] / row['rows'] * 1e6:.2f}",
        )
        for row in found
    ]
    return [
        "",
        "## Fraud features against hand-written DuckDB SQL with the same columns",
        "",
        "Goal: ratio at most 1.3, peak at most 2 GB, cost a row flat within 1.3.",
        "Ours includes checks and the content digest.",
        *_table(("rows", "ratio", "CPU s ours / hand", "wall s", "peak MB", "CPU µs a row"), rows),
    ]


def _validation(found: Sequence[dict[str, Any]]) -> list[str]:
    rows = [
        (
            f"{row['rows']:,}",
            f"**{row['cpu_ratio']}**",
            f"**{row['pandas_ratio']}**",
            f"{row['gx_cpu']} / {row['hand_cpu']} / {row['pandas_cpu']}",
            f"{row['gx_peak_mb']:.0f} / {row['hand_peak_mb']:.0f} / {row['pandas_peak_mb']:.0f}",
        )
        for row in found
    ]
    return [
        "",
        "## 17 expectations on 12 columns against one exact query by hand, and against GX on pandas",
        "",
        "Goal: at most 1.5 times the query (stretch 1.1), at most 0.25 of pandas, peak at most 1.3 GB.",
        f"Imports are not in the CPU seconds (Great Expectations: {found[-1]['import_cpu']} s, once a process), "
        f"but in the peak ({found[-1]['imports_mb']:.0f} MB).",
        *_table(("rows", "to hand", "to pandas", "CPU s GX / hand / pandas", "peak MB"), rows),
    ]


def _quarantine(found: dict[str, Any]) -> list[str]:
    row = (
        f"{found['rows']:,}",
        f"{found['quarantined']:,}",
        f"**{found['cpu_ratio']}**",
        f"{found['ours_cpu']} / {found['copy_cpu']}",
        f"{found['ours_wall']} / {found['copy_wall']}",
    )
    return [
        "",
        "## Setting rows aside against copying the table",
        "",
        "Goal: at most 2. Ours writes both parts with their content digests.",
        *_table(("rows", "set aside", "ratio", "CPU s ours / copy", "wall s"), [row]),
    ]


def _drafting(found: Sequence[dict[str, Any]]) -> list[str]:
    rows = [
        (
            f"{row['rows']:,}",
            f"**{row['cpu_ratio']}**",
            f"{row['draft_cpu']} / {row['scan_cpu']}",
            f"{row['draft_wall']} / {row['scan_wall']}",
            f"{row['draft_peak_mb']:.0f}",
        )
        for row in found
    ]
    return [
        "",
        "## Drafting a suite against one scan of every column",
        "",
        "Goal: at most 5 at 10 million rows.",
        *_table(("rows", "ratio", "CPU s draft / scan", "wall s", "peak MB"), rows),
    ]


def _pipeline(found: dict[str, Any]) -> list[str]:
    ours, plain = found["ours_metrics"], found["plain_metrics"]
    row = (
        f"{found['rows']:,}",
        f"**{found['cpu_ratio']}**",
        f"{found['ours_cpu']} / {found['plain_cpu']}",
        f"{found['ours_wall']} / {found['plain_wall']}",
        f"{ours['average_precision']:.3f} / {plain['average_precision']:.3f}",
    )
    return [
        "",
        "## The whole pipeline against a plain script (`plain_fraud.py`)",
        "",
        "Goal: ratio at most 1.10. Both check the data by Great Expectations, the script on pandas. "
        "Fresh MLflow databases, imports included; OpenMP waits passively in both. "
        "Sums differ in their last bits.",
        *_table(("rows", "ratio", "CPU s ours / plain", "wall s", "average precision"), [row]),
    ]


def _judgement(found: Sequence[dict[str, Any]]) -> list[str]:
    rows = [
        (
            f"{row['rows']:,}",
            row["block"],
            f"**{row['cpu_ratio']}**",
            f"{row['ours_cpu']} / {row['hand_cpu']}",
            f"{row['ours_wall']} / {row['hand_wall']}",
            f"{row['ours_peak_mb']:.0f} / {row['hand_peak_mb']:.0f}",
        )
        for row in found
    ]
    return [
        "",
        "## The paired bootstrap of a verdict, 500 replicates, against one by hand in NumPy",
        "",
        "Goal: ratio at most 2, at most 5 s. 1 % positives; imports are not in the seconds.",
        *_table(("rows", "drawn together", "ratio", "CPU s ours / hand", "wall s", "peak MB"), rows),
    ]


def _promotion(found: dict[str, Any]) -> list[str]:
    calm = {name: f"**{found[name]:.3f}**" for name in ("promote", "rollback")}
    raced = [(name.replace("_", " "), _told(value)) for name, value in found.items() if name not in calm]
    return [
        "",
        "## Promoting on sqlite, and eight promoters that race",
        *_table(("what", "seconds", "goal"), [(name, seconds, "≤ 1") for name, seconds in calm.items()]),
        *_table(("of the race", "found"), raced),
    ]


def _told(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.0f} s" if isinstance(value, float) else value


def _report(found: dict[str, Any]) -> list[str]:
    row = (
        f"{found['rows']:,}",
        f"**{found['page_kb']}**",
        found["card_kb"],
        f"{found['fresh_cpu']} / **{found['fresh_wall']}**",
        f"{found['warm_cpu']} / {found['warm_wall']}",
    )
    return [
        "",
        "## The report of a run",
        "",
        "Goal: at most 1 MB and 3 s; fresh is a process of its own, with Python and matplotlib to be started.",
        *_table(("rows", "page kB", "card kB", "fresh CPU / wall s", "warm CPU / wall s"), [row]),
    ]


def _engine(found: Sequence[dict[str, Any]]) -> list[str]:
    rows = [(row["what"], f"**{row['ms']:.1f}**", "" if row["bound"] is None else f"≤ {row['bound']}") for row in found]
    return ["", "## The local engine, beyond the work itself", *_table(("what", "ms", "goal"), rows)]


def _airflow(found: Sequence[dict[str, Any]]) -> list[str]:
    if not found:
        return ["", "## Airflow", "", "Not measured: `make airflow` sets it up."]
    rows = [(row["what"], f"**{row['ms']:.1f}**") for row in found]
    ms = {row["what"]: row["ms"] for row in found}
    parse, task = "parse the fraud DAG, ", "a task of dag.test(), cpu, "
    form, bare = (ms[f"{parse}ours"] / ms[f"{parse}{way}"] for way in ("by hand", "by hand, no form"))
    added = ms[f"{task}ours"] - ms[f"{task}by hand"]
    return [
        "",
        "## Airflow, beside a TaskFlow DAG written by hand",
        "",
        "Parsing, in CPU, in a process that has loaded what Airflow's dag-processor has, and running. To a DAG of the",
        f"same tasks with the same form: **{form:.2f}** (goal ≤ 1.3); to one without any form: {bare:.2f}. Added CPU a",
        f"task: **{added:.1f} ms** (goal ≤ 20).",
        *_table(("what", "ms"), rows),
    ]


def _sample(found: dict[str, Any]) -> list[str]:
    row = (f"{found['rows']:,}", found["wall"], found["cpu"], f"**{found['rows_per_second']:,}**", "≥ 500,000")
    return ["", "## Sample data", *_table(("rows", "wall s", "CPU s", "rows a second (wall)", "goal"), [row])]


if __name__ == "__main__":
    main()
