"""The Airflow DAG of the ready-made pipeline data_validation."""

from ostinato.engines.airflow_dag import to_dag
from ostinato.pipelines.data_validation import data_validation as pipeline

data_validation = to_dag(pipeline)
