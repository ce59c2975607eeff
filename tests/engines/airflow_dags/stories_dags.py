"""Airflow DAGs of the conformance suite's pipelines, and of those in which something goes wrong."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from engines import mishaps, stories
from ostinato.engines.airflow_dag import model_asset, on_file, to_dag
from ostinato.graph import Pipeline
from ostinato.pipelines.fraud_detection import fraud_detection

for pipeline in {story.pipeline.name: story.pipeline for story in stories.STORIES}.values():
    globals()[pipeline.name] = to_dag(pipeline, max_active_runs=9)

for pipeline in vars(mishaps).values():
    if isinstance(pipeline, Pipeline):
        globals()[pipeline.name] = to_dag(pipeline)

# without a schedule nothing can be filled in; and none of its own accord, for that end is past
past = to_dag(
    fraud_detection,
    dag_id="past",
    source=os.environ.get("OSTINATO_FRAUD_DETECTION_SOURCE", "tx"),
    schedule="@daily",
    end_date=datetime(2026, 5, 2, tzinfo=UTC),
    model="past",
)
followed = to_dag(mishaps.dated, dag_id="followed", schedule=[model_asset("fraud_detection")])
arrived = to_dag(mishaps.dated, dag_id="arrived", schedule=[on_file(os.environ.get("FLAG", "/nowhere/flag"), every=1)])
