"""The Prefect flow of a test's pipeline."""

from engines.stories import approved as pipeline
from ostinato.engines.prefect_flow import to_flow

approved = to_flow(pipeline)
