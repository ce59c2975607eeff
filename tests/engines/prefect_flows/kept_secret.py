"""The Prefect flow of a test's pipeline."""

from engines.mishaps import kept_secret as pipeline
from ostinato.engines.prefect_flow import to_flow

kept_secret = to_flow(pipeline)
