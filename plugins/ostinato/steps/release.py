"""From a judged model to a version that can be promoted."""

from __future__ import annotations

from ostinato import catalog
from ostinato.artifacts import Model, Verdict
from ostinato.context import current
from ostinato.errors import ContractError
from ostinato.graph import step


@step(retries=2, effect="once")
def register(model: Model, verdict: Verdict, *, name: str | None = None) -> Model:
    """Make a version of a model that passed its judgement.

    Run again after a crash it finds the version it made. Where the newest version is this very model no other is made,
    and the fact `unchanged` says so.

    Args:
        name: under which it is registered; by default the pipeline's.

    Raises:
        ContractError: the verdict is not a pass, or is about another model.
    """
    context = current()
    if not verdict.passed:
        failed = [check["name"] for check in verdict.checks if check["outcome"] != "pass"]
        raise ContractError(f"{model.uri} did not pass ({', '.join(failed)}); put register under when(verdict.passed).")
    if verdict.facts["model"] != model.digest:
        raise ContractError(
            f"The verdict is about another model ({verdict.facts['model'][:19]}…), not about {model.uri} "
            f"({model.digest[:19]}…)."
        )
    tags = {"data": model.facts.get("data", ""), "test_data": verdict.facts["data"], "verdict": verdict.digest}
    store = catalog.find("store", "mlflow")
    version: Model = store.register(model, name or context.pipeline or "model", context.key, tags)
    word = "is already" if version.facts.get("unchanged") else "is now"
    context.log(f"{model.uri} {word} version {version.facts['version']} of {version.facts['name']!r}")
    return version
