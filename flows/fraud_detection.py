"""The Prefect flow of the ready-made pipeline fraud_detection."""

from ostinato.engines.prefect_flow import to_flow
from ostinato.pipelines.fraud_detection import fraud_detection as pipeline

fraud_detection = to_flow(pipeline)
