"""What a validation leaves behind: the findings as JSON, a page, Great Expectations' own result and Data Docs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ostinato import validation_page
from ostinato.artifacts import Validation
from ostinato.context import current
from ostinato.suites.judgement import Judged, Judgement
from ostinato.tables import Dataset
from ostinato.workspace import to_uri, write_json, write_text

from .validation_history import History, shortened

_RESULT, _DOCS = "Great Expectations' result", "Great Expectations' Data Docs"
_NAMED = 10  # rules named in a reference, which must stay small


def written(
    judgement: Judgement,
    history: History,
    raws: Sequence[Mapping[str, Any]],
    examples: Mapping[str, Sequence[str]],
    bad: Dataset | None,
) -> Validation:
    """Write all of it as this step's outputs.

    Args:
        raws: GX's results without values.
        examples: values that broke a rule, by its name.
        bad: the rows set aside.
    """
    context, suite = current(), judgement.suite
    counts = dict(Counter(one.outcome for one in judgement.judged))
    summary = {
        "outcome": judgement.outcome,
        "rows": judgement.rows,
        "quarantined": judgement.quarantined,
        "share": judgement.share,
        "max_quarantine": suite.max_quarantine,
    }
    found = {
        **summary,
        "suite": suite.name,
        "suite_digest": suite.digest,
        "source": suite.source,
        "subject": history.subject,
        "as_of": context.as_of and context.as_of.isoformat(),
        "said": judgement.said(),
        "counts": counts,
        "rules": [_rule(one, examples.get(one.rule.name, ())) for one in judgement.judged],
    }
    aside = {"the rows set aside": bad.uri} if bad is not None else {}
    places = {**aside, **_written_by_gx(suite.name, history.subject, raws)}
    links = {name: place.rpartition("/")[2] for name, place in places.items()}  # a page may move with its folder
    now = {"started": time.time(), **summary}
    page = f"{context.folder}/validation.html"
    write_text(page, validation_page.page(found, [*history.for_page(), now], links))
    facts = {
        **summary,
        "suite": shortened(suite.name, 200),
        "suite_digest": suite.digest,
        "subject": history.subject,
        "counts": counts,
        "warnings": [shortened(f"{one.rule.name}: {one.sentence()}", 200) for one in judgement.warnings[:_NAMED]],
        "page": to_uri(page),
        "docs": to_uri(places[_DOCS]),
        **({"quarantine": bad.to_json()} if bad is not None else {}),
    }
    return Validation.of(found, facts)


def _written_by_gx(suite: str, subject: str, raws: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Great Expectations' own documents: where each was written, by what it is."""
    from ostinato.integrations import gx_validator

    context = current()
    run = {"run_name": context.run_id, "run_time": context.as_of and context.as_of.isoformat()}
    asset = {"active_batch_definition": {"data_asset_name": subject}}
    result = gx_validator.result_json(suite, raws, {"run_id": run, **asset})
    places = {_RESULT: f"{context.folder}/gx_result.json", _DOCS: f"{context.folder}/data_docs.html"}
    write_json(places[_RESULT], result)
    write_text(places[_DOCS], gx_validator.data_docs(result))
    return places


def _rule(one: Judged, examples: Sequence[str]) -> dict[str, Any]:
    rule = one.rule
    return {
        "name": rule.name,
        "type": rule.type,
        "columns": list(rule.columns),
        "severity": rule.severity,
        "quarantine": rule.quarantine,
        "outcome": one.outcome,
        "judged": one.judged,
        "unexpected": one.unexpected,
        "observed": one.observed,
        "error": one.error,
        "expected": rule.wanted,
        "why": rule.why,
        "line": rule.line,
        **({"examples": list(examples)} if examples else {}),
    }
