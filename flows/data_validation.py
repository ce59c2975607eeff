"""The Prefect flow of the ready-made pipeline data_validation."""

from ostinato.engines.prefect_flow import to_flow
from ostinato.pipelines.data_validation import data_validation as pipeline

data_validation = to_flow(pipeline)
