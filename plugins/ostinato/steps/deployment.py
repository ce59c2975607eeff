"""From a version to what serves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ostinato import catalog
from ostinato.artifacts import Deployment, Model, Promotion
from ostinato.context import current
from ostinato.errors import ContractError
from ostinato.graph import step

BUNDLE = "bundle"


@step(retries=2, effect="idempotent")
def deploy(
    model: Model,
    promotion: Promotion | None = None,
    *,
    target: str | None = BUNDLE,
    options: Mapping[str, Any] = {},
) -> Deployment:
    """Put a registered version where it serves; it counts once it has answered its recorded rows as when it was logged.

    A version that is in place already stays there. What is not deployed is no error: `deployed` is False, and `why`
    says why.

    Args:
        promotion: where given, only the version it made champion is deployed, as long as it is.
        target: `bundle` puts its files into `<workspace>/bundles/<name>/<version>` and lets `current` beside it name
            them, for `mlflow models serve`; else a target of `mlflow.deployments`. None deploys nothing.
        options: the configuration that target wants.

    Raises:
        ContractError: the model is no registered version, the promotion is about another one, or the version does not
            answer as recorded; what was in place is still there.
        DataError: its files are not those on record.
        ParameterError: nobody knows the target.
    """
    context, store = current(), catalog.find("store", "mlflow")
    name, version = store.pinned(model)
    if promotion is not None and promotion.promoted and _promoted(promotion) != (name, version):
        raise ContractError(f"The promotion is about {'/'.join(_promoted(promotion))}, not about {model.uri}.")
    if target is None or (promotion is not None and not promotion.promoted):
        found = store.not_deployed(name, version, target, _why_not(promotion))
    else:
        found = store.deploy(model, target, options, champion_only=promotion is not None)
    already = found.pop("already", False)
    if not found["deployed"]:
        context.log(f"version {version} of {name!r} was not deployed: {found['why']}")
        return Deployment.of(found)
    word = "is already" if already else "is now"
    how = f"; serve it with: {store.serve_command(found['place'])}" if target == BUNDLE else ""
    context.log(f"version {version} of {name!r} {word} in place at {found['place']}{how}")
    return Deployment.of(found)


def _promoted(promotion: Promotion) -> tuple[str, str]:
    return promotion.facts["name"], str(promotion.facts["version"])


def _why_not(promotion: Promotion | None) -> str:
    if promotion is None or promotion.promoted:
        return "no target is named"
    return f"it was not promoted: {promotion.facts.get('why') or 'no reason is on record'}"
