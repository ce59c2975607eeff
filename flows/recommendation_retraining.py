"""The Prefect flow of the ready-made pipeline recommendation_retraining."""

from ostinato.engines.prefect_flow import to_flow
from ostinato.pipelines.recommendation_retraining import recommendation_retraining as pipeline

recommendation_retraining = to_flow(pipeline)
