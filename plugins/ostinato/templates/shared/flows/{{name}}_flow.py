"""The Prefect flow of this project's pipeline."""

from ostinato.engines.prefect_flow import to_flow

from project_name.pipeline import project_name as pipeline

project_name = to_flow(pipeline)
