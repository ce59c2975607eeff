"""Airflow DAGs of the conformance suite's pipelines, and of those in which something goes wrong."""

from __future__ import annotations

from engines import mishaps, stories
from ostinato.engines.airflow_dag import to_dag
from ostinato.graph import Pipeline

for pipeline in {story.pipeline.name: story.pipeline for story in stories.STORIES}.values():
    globals()[pipeline.name] = to_dag(pipeline, max_active_runs=9)

for pipeline in vars(mishaps).values():
    if isinstance(pipeline, Pipeline):
        globals()[pipeline.name] = to_dag(pipeline)
