"""The Airflow DAG of the ready-made pipeline recommendation_retraining."""

from ostinato.engines.airflow_dag import to_dag
from ostinato.pipelines.recommendation_retraining import recommendation_retraining as pipeline

recommendation_retraining = to_dag(pipeline)
