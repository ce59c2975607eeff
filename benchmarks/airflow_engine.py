"""What a pipeline costs in Airflow beside a DAG written by hand: to parse, and to run.

Run by the Python of `.venv-airflow`. A DAG file is loaded in a fresh process that has loaded what Airflow's
dag-processor has; runs are `dag.test()` of a chain of tasks, to which ours add one more, the report.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
PYTHON = ROOT / ".venv-airflow" / "bin" / "python"
LENGTH = 20
OURS, BY_HAND = ROOT / "dags" / "fraud_detection.py", HERE / "airflow_by_hand.py"


def measure(repeats: int = 9) -> list[dict[str, Any]]:
    """Rows of figures in milliseconds of CPU, medians of `repeats`, interleaved; empty without Airflow."""
    if not PYTHON.exists():
        return []
    with tempfile.TemporaryDirectory() as home:
        environment = _environment(Path(home))
        form = Path(home, "form.json")
        form.write_text(json.dumps(_child(environment, "form")))
        with_form = {**environment, "FORM": str(form)}
        ways = {
            "ours": (environment, "parse", str(OURS)),
            "by hand": (with_form, "parse", str(BY_HAND)),
            "by hand, no form": (environment, "parse", str(BY_HAND)),
        }
        parsed: dict[str, list[float]] = {way: [] for way in ways}
        for turn in range(repeats):
            for way in list(ways) if turn % 2 else reversed(list(ways)):
                parsed[way].append(_child(*ways[way])["cpu"])
        ran = [_child(environment, "run") for _ in range(max(1, repeats // 3))]
    rows = [{"what": f"parse the fraud DAG, {way}", "ms": 1000 * statistics.median(parsed[way])} for way in ways]
    turns = [turn for one in ran for turn in one["turns"]]
    for what in ("cpu", "wall"):
        for way in ("ours", "by hand"):
            taken = statistics.median(turn[way][what] for turn in turns)
            rows.append({"what": f"a task of dag.test(), {what}, {way}", "ms": 1000 * taken / LENGTH})
    return rows


def _environment(home: Path) -> dict[str, str]:
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(HERE),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "OSTINATO_HOME": str(home / "ostinato"),
        "OSTINATO_ALERTS": "none",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "plugins"), str(HERE)]),
        "LENGTH": str(LENGTH),
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "OSTINATO"))}
    return {**kept, **settings}


def _child(environment: dict[str, str], *arguments: str) -> Any:
    command = [str(PYTHON), __file__, *arguments]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


# --- in the environment of Airflow --------------------------------------------------------------------------------


def _form() -> dict[str, Any]:
    """The fields of our form, for whoever writes the same by hand."""
    from ostinato.engines.airflow_dag import to_dag
    from ostinato.pipelines.fraud_detection import fraud_detection

    params = to_dag(fraud_detection, source="transactions/").params
    found = {name: params.get_param(name) for name in params}
    return {name: {"default": one.value, "description": one.description, **one.schema} for name, one in found.items()}


def _loaded(file: str) -> Any:
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("unusual_prefix_measured", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _parse(file: str) -> dict[str, float]:
    """Load a file and serialise its DAG, as the dag-processor does."""
    import airflow.dag_processing.processor
    import airflow.models  # noqa: F401
    from airflow.sdk import DAG, Param, task
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("warm", schedule=None, params={"a": Param(1, type="integer")}) as warm:
        task(_loaded)("x")
    DagSerialization.to_dict(warm)
    start = time.process_time()
    dag = next(one for one in vars(_loaded(file)).values() if isinstance(one, DAG) and one.dag_id.startswith("fraud"))
    DagSerialization.to_dict(dag)
    return {"cpu": time.process_time() - start}


def _run(repeats: int = 5) -> dict[str, Any]:
    """CPU and wall seconds of a chain by us and by hand, taking turns in one warm process."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.utils.db import initdb

    initdb()
    bags = {"ours": DagBag(str(HERE / "airflow_ours.py")), "by hand": DagBag(str(BY_HAND))}
    names = {"ours": "chain_by_us", "by hand": "chain_by_hand"}
    turns = []
    for turn in range(repeats + 1):
        taken = {}
        for way in ("ours", "by hand") if turn % 2 else ("by hand", "ours"):
            cpu, wall = time.process_time(), time.perf_counter()
            run = bags[way].dags[names[way]].test()
            assert str(run.state) == "success"
            taken[way] = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
        turns.append(taken)
    return {"turns": turns[1:]}


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(json.dumps(measure(), indent=1))
    else:
        print(json.dumps({"form": _form, "parse": _parse, "run": _run}[sys.argv[1]](*sys.argv[2:])))
