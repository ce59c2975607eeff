"""A flow whose file can be loaded only as long as another one is not there."""

import os

from engines.stories import success as pipeline
from ostinato.engines.prefect_flow import to_flow

if os.path.exists(os.environ["FRAGILE"]):
    import not_there_at_all  # noqa: F401

fragile = to_flow(pipeline, name="fragile")
