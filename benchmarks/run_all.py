"""Measure everything and write benchmarks/RESULTS.md.

make bench                              all of it: about an hour
make bench BENCH=--quick                fewer rows and repeats, printed, not written
make bench BENCH="--only prefect"       one section, put in the place of the one that was there
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import sys
from collections.abc import Callable, Sequence
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
import inspection  # noqa: E402
import judgement  # noqa: E402
import pipeline  # noqa: E402
import prefect_engine  # noqa: E402
import projects  # noqa: E402
import promotion  # noqa: E402
import quarantine  # noqa: E402
import recommendation  # noqa: E402
import report  # noqa: E402
import sample_data  # noqa: E402
import validation  # noqa: E402

LIBRARIES = ("duckdb", "great-expectations", "scikit-learn", "mlflow-skinny", "pyarrow", "pandas", "sqlalchemy")


def main() -> None:
    """The command line."""
    sections = _sections()
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rows and repeats; nothing is written")
    parser.add_argument("--only", choices=sections, metavar="SECTION", help=f"one of {', '.join(sections)}")
    given = parser.parse_args()
    file = HERE / "RESULTS.md"
    if given.only:
        text = "\n".join(sections[given.only](given.quick)).strip("\n")
        whole = _put(text, file.read_text(encoding="utf-8"))
    else:
        text = "\n".join([*_head(), *(line for section in sections.values() for line in section(given.quick))])
        whole = text + "\n"
    print(text)
    if not given.quick:
        file.write_text(whole, encoding="utf-8")


def _sections() -> dict[str, Callable[[bool], list[str]]]:
    """What is measured, in the order of the file; each is told whether to be quick."""

    def rows(quick: bool) -> list[int]:
        return [100_000, 1_000_000] if quick else [100_000, 1_000_000, 10_000_000]

    return {
        # the smaller, the noisier
        "features": lambda q: _features([row for n in rows(q) for row in features.measure([n], _repeats(n, q))]),
        "validation": lambda q: _validation(validation.measure(rows(q)[1:], 1 if q else 3)),
        "quarantine": lambda q: _quarantine(quarantine.measure(repeats=1 if q else 7)),
        "drafting": lambda q: _drafting(drafting.measure(rows(q)[1:], 1 if q else 3)),
        "inspection": lambda q: _inspection(inspection.measure(rows(q)[1:], 1 if q else 5)),
        "projects": lambda q: _projects(projects.measure(1 if q else 5)),
        "pipeline": lambda q: _pipeline(pipeline.measure(100_000 if q else 1_000_000, 1 if q else 3)),
        "judgement": lambda q: _judgement(judgement.measure(100_000 if q else 1_000_000, 1 if q else 3)),
        "promotion": lambda q: _promotion(promotion.measure(rounds=5 if q else 100)),
        "report": lambda q: _report(report.measure(100_000 if q else 1_000_000, 1 if q else 5)),
        "recommendation": lambda q: _recommendation(recommendation.measure(q)),
        "engine": lambda q: _engine(engine.measure(3 if q else 9)),
        "airflow": lambda q: _airflow(airflow_engine.measure(3 if q else 15)),
        "prefect": lambda q: _prefect(prefect_engine.measure(3 if q else 15)),
        "sample": lambda q: _sample(sample_data.measure(repeats=2 if q else 7)),
    }


def _put(section: str, text: str) -> str:
    """The file with a section anew: where it was, else at the end."""
    name = section.partition(",")[0].partition("\n")[0]  # what stands behind a comma may change
    start = text.find(f"\n{name}") + 1
    if not start:
        return f"{text.rstrip()}\n\n{section}\n"
    end = text.find("\n## ", start)
    return f"{text[:start]}{section}\n{text[end:] if end >= 0 else ''}"


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


def _inspection(found: Sequence[dict[str, Any]]) -> list[str]:
    rows = [
        (
            f"{row['rows']:,}",
            f"**{row['cpu_ratio']}**",
            f"{row['inspection_cpu']} / {row['scan_cpu']}",
            f"{row['inspection_wall']} / {row['scan_wall']}",
            f"{row['inspection_peak_mb']:.0f}",
        )
        for row in found
    ]
    return [
        "",
        "## Inspecting a table for a new project against one scan of every column",
        "",
        "Goal: at most 3 at 10 million rows. What is looked at closely, at most 200,000 rows, costs the same in all.",
        *_table(("rows", "ratio", "CPU s inspection / scan", "wall s", "peak MB"), rows),
    ]


def _projects(found: Sequence[dict[str, Any]]) -> list[str]:
    rows = [
        (
            row["template"],
            f"**{row['ostinato_wall']}**",
            f"{row['copier_wall']}",
            f"{row['cpu_ratio']}",
            f"**{row['tests_wall']}** / {row['tests_cpu']}",
        )
        for row in found
    ]
    return [
        "",
        "## A project from a template",
        "",
        "Goals: `ostinato new` at most 2 s, without a table to look at; the project's tests at most 15 s. Copier's own",
        "command renders the same files.",
        *_table(("template", "new, wall s", "Copier, wall s", "CPU ratio", "tests, wall / CPU s"), rows),
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


def _recommendation(found: dict[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("implicit", "optuna", "numpy"))
    return [
        "",
        "## The recommender's retraining",
        "",
        f"Measured on {datetime.now(UTC):%Y-%m-%d} on {_processor()}, {os.cpu_count()} cores, with {versions}; linear "
        "algebra has one thread in all ways.",
        *_worlds(found["worlds"]),
        *_released(found["release"]),
        *_batch(found["batch"]),
        *_cost(found["cost"]),
    ]


def _worlds(found: Sequence[dict[str, Any]]) -> list[str]:
    shares = [one["ndcg"] / max(one["alone"].values()) for one in found]
    floors = [one["ndcg"] / one["alone"]["popularity"] for one in found]
    near = sum(share >= 0.99 for share in shares)
    rows = [
        (
            f"{one['world']}, {one['seed']}",
            f"{one['rows']:,}",
            f"{one['users']:,} / {one['items']:,}",
            f"{one['judged']:,.0f}",
            one["chosen"],
            *(f"{one['alone'][name]:.4f}" for name in recommendation.CANDIDATES),
            f"**{share:.3f}**",
        )
        for one, share in zip(found, shares, strict=True)
    ]
    head = ("world, seed", "rows", "users / items", "judged users", "chosen", *recommendation.CANDIDATES, "to the best")
    return [
        "",
        "What is chosen on the validation part, by nDCG@10 on the test, to the best of the candidates, each searched "
        "and trained alone. Goal:",
        f"at least 0.99 ({near} of {len(found)}), and never below popularity ({_met(1, min(floors))}: at least "
        f"{min(floors):.2f} times).",
        "The worlds are the sample; few items and heavy users with tastes of few factors; many items, short histories "
        "and groups instead of factors.",
        *_table(head, rows),
    ]


def _released(found: dict[str, Any]) -> list[str]:
    row = (
        f"{found['rows']:,}",
        f"**{found['cpu_ratio']}**",
        f"{found['ours_cpu']} / {found['plain_cpu']}",
        f"{found['ours_wall']} / {found['plain_wall']}",
        f"{found['ndcg']['ours']:.4f} / {found['ndcg']['plain']:.4f}",
    )
    spent = ", ".join(f"{name.replace('_', ' ')} {cpu:.1f}" for name, cpu in found["steps"].items())
    ours, plain = (found["options"][way] for way in ("ours", "plain"))
    scores = [
        (
            name,
            *(f"{found['validation'][way][name]:.4f}" for way in ("ours", "plain")),
            _told(ours[name] == plain[name]),
        )
        for name in recommendation.CANDIDATES
    ]
    return [
        "",
        "From loaded interactions to a champion, against a plain script (`plain_recommendation.py`) with the same "
        "searches of four candidates.",
        f"Goal: ratio at most 1.15 ({_met(found['cpu_ratio'], 1.15)}). Loading and validation are in neither; imports, "
        "fresh MLflow databases,",
        "and of ours the processes of the local engine and the run's report, are in it.",
        *_table(("rows", "ratio", "CPU s ours / plain", "wall s", "nDCG@10"), [row]),
        "",
        f"CPU seconds of our steps: {spent}. What the searches came to, by nDCG@10 on what was held back:",
        *_table(("candidate", "ours", "plain", "the same options"), scores),
    ]


def _batch(found: Sequence[dict[str, Any]]) -> list[str]:
    rows = [
        (
            f"{one['kind']}, {one['part']}",
            f"{one['users']:,} / {one['items']:,}",
            f"**{one['cpu_ratio']}**",
            f"{one['ours_cpu']} / {one['implicit_cpu']}",
            f"{one['ours_wall']} / {one['implicit_wall']}",
            f"{one['ours_peak_mb']:.0f} / {one['implicit_peak_mb']:.0f}",
        )
        for one in found
    ]
    ratio = {part: max(one["cpu_ratio"] for one in found if one["part"] == part) for part in ("lists", "step")}
    peak = max(one["ours_peak_mb"] for one in found)
    return [
        "",
        "Every user's ten best items as Parquet, against implicit's own `recommend` for all users. Goal: ranking and "
        f'writing ("lists") at most 1.2 times the CPU ({_met(ratio["lists"], 1.2)}),',
        f'peak at most 2 GB ({_met(peak, 2000)}). "step" is all of the step `recommend`, which reads model and '
        "histories and sees to digests, against a script that reads its own: no goal.",
        *_table(("model, part", "users / items", "ratio", "CPU s ours / implicit", "wall s", "peak MB"), rows),
    ]


def _cost(found: Sequence[dict[str, Any]]) -> list[str]:
    names = ("interactions and split", *(f"search {name}" for name in recommendation.CANDIDATES), "train", "judge")
    rows = [
        (
            one["catalogue"],
            f"{one['rows']:,}",
            f"{one['items']:,}",
            f"**{one['micros']}**",
            one["cpu"],
            *(f"{one['steps'][name]:.1f}" for name in names),
            one["peak_mb"],
        )
        for one in found
    ]
    micros = [one["micros"] for one in found if one["catalogue"] == "fixed"]
    growth = max(later / before for before, later in itertools.combinations(micros, 2)) if len(micros) > 1 else 1.0
    head = ("catalogue", "rows", "items", "CPU µs an interaction", "CPU s", *names, "peak MB")
    return [
        "",
        "The cost of an interaction, from `interactions` to `judge_recommender`, without imports. Goal: with a "
        f"catalogue of one size it grows by at most 1.3 ({_met(growth, 1.3)}:",
        f"at most {growth:.2f} from one size to a larger one). Between the highest and the lowest is a factor of "
        f"{max(micros) / min(micros):.2f}, for a part is for the catalogue",
        "and paid once: EASE inverts a matrix of items by items, which grows with the cube of the catalogue.",
        *_table(head, rows),
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


def _prefect(found: dict[str, Any]) -> list[str]:
    title = ["", "## Prefect, beside flows written by hand", ""]
    if not found:
        return [*title, "Not measured: `make prefect` sets it up."]
    build, run, length = found["build"], found["run"], prefect_engine.LENGTH
    ours, hand, strict = build["ours"], build["by hand"], build["by hand, our steps imported"]
    added = {what: (run["ours"][what] - run["by hand"][what]) / length for what in ("cpu", "wall")}
    called = (run["ours"]["cpu"] - run["by hand, called"]["cpu"]) / length
    once = run["ours, one task"]["cpu"] - run["by hand, one task"]["cpu"]
    further = (length * added["cpu"] - once) / (length - 1)
    with_prefect, without = ours["whole cpu"] / hand["whole cpu"], ours["cpu"] / hand["cpu"]
    prefect_cpu = statistics.median(one["prefect cpu"] for one in build.values())
    built = [
        (way, *(f"{one[what]:.0f}" for what in ("cpu", "wall", "whole cpu", "whole wall")))
        for way, one in build.items()
    ]
    ran = [
        (way, f"**{one['cpu'] / tasks:.1f}**", *(f"{one[what]:.0f}" for what in ("cpu", "wall", "workers")))
        for way, one in run.items()
        for tasks in [prefect_engine.RUNS[way][1]]
    ]
    heavy = {whose: ", ".join(names) or "none" for whose, names in found["heavy"].items()}
    return [
        *title,
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with Prefect {found['prefect']}; all in milliseconds.",
        "",
        f"Added CPU of the flow's process a task, in a chain of {length} against the same tasks submitted by hand:",
        f"**{added['cpu']:.1f} ms** (goal ≤ 5: {_met(added['cpu'], 5)}); against tasks called one after the other, "
        f"{called:.1f} ms.",
        f"In it is what a run costs once, its records and its report: {once:.0f} ms a run of a single task; each "
        f"further task adds {further:.1f} ms.",
        "Not in it is the CPU of the worker processes in which ours run their steps, fresh ones in each run: "
        f"**{run['ours']['workers']:.0f} ms a run**",
        f"(by hand, the tasks run in the flow's own process); with them, a chain of {length} takes "
        f"{(run['ours']['cpu'] + run['ours']['workers']) / run['by hand']['cpu']:.1f} times the CPU. "
        f"Wall: {added['wall']:.0f} ms more a task.",
        *_table(("a run", "CPU a task", "CPU", "wall", "CPU of workers"), ran),
        "",
        "Building all flows of `flows/` in a fresh process. To flows of the same tasks and forms written by hand that",
        f"import nothing of ours: **{with_prefect:.2f}** with the import of Prefect ({prefect_cpu:.0f} ms) in both, "
        f"**{without:.2f}** without",
        f"(goal ≤ 1.3: {_met(with_prefect, 1.3)} with it, {_met(without, 1.3)} without). To the same that import our "
        f"steps at their top: {ours['whole cpu'] / strict['whole cpu']:.2f} and {ours['cpu'] / strict['cpu']:.2f}.",
        *_table(("built", "CPU without Prefect", "wall without Prefect", "CPU of all", "wall of all"), built),
        "",
        f"Of {', '.join(prefect_engine.HEAVY)},",
        f"loaded with all flow files: **{heavy['ours']}** (goal: none); by Prefect itself: {heavy['prefect']}.",
    ]


def _met(found: float, goal: float) -> str:
    return "met" if found <= goal else "missed"


def _sample(found: dict[str, Any]) -> list[str]:
    row = (f"{found['rows']:,}", found["wall"], found["cpu"], f"**{found['rows_per_second']:,}**", "≥ 500,000")
    return ["", "## Sample data", *_table(("rows", "wall s", "CPU s", "rows a second (wall)", "goal"), [row])]


if __name__ == "__main__":
    main()
