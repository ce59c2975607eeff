"""The Airflow DAG of the ready-made pipeline fraud_detection."""

from ostinato.engines.airflow_dag import to_dag
from ostinato.pipelines.fraud_detection import fraud_detection as pipeline

fraud_detection = to_dag(pipeline)
