"""The Airflow DAG of this project's pipeline."""

from ostinato.engines.airflow_dag import to_dag

from project_name.pipeline import project_name as pipeline

project_name = to_dag(pipeline)
