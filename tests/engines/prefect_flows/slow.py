"""The Prefect flow of a test's pipeline."""

from engines.mishaps import slow as pipeline
from ostinato.engines.prefect_flow import to_flow

slow = to_flow(pipeline)
