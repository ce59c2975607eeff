"""The Prefect flow of a pipeline that fails as long as a file is there."""

from engines.stories import fail_while, number, post
from ostinato import pipeline
from ostinato.engines.prefect_flow import to_flow


@pipeline(owner="tests")
def unlucky_pipeline(file: str, to: str) -> None:
    """Do something once, then fail."""
    posted = post(to)
    number(fail_while.with_options(after=[posted])(file))


unlucky = to_flow(unlucky_pipeline, name="unlucky")
