"""What a run of `recommendation_retraining` does from the step `interactions` on, up to the promotion.

    python benchmarks/recommendation_ours.py DATASET TRIALS DAY

DATASET is a reference as JSON, DAY what the run stands for. Prints the run's outcome as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ostinato import pipeline
from ostinato.engines.local_run import run
from ostinato.steps.interaction_tables import interactions, split_interactions
from ostinato.steps.recommender_judgement import judge_recommender
from ostinato.steps.recommenders import CANDIDATES, search_recommender, train_recommender
from ostinato.steps.release import promote, register
from ostinato.tracing import each, when


@pipeline
def released(loaded: Any, trials: int = 6) -> None:
    """From loaded interactions to a champion."""
    train, test = split_interactions(interactions(loaded))
    found = each(search_recommender, over=list(CANDIDATES), data=train, trials=trials)
    candidate = train_recommender(found, train)
    verdict = judge_recommender(candidate, train, test)
    with when(verdict.passed):
        promote(register(candidate, verdict), verdict)


if __name__ == "__main__":
    result = run(released, {"loaded": json.loads(sys.argv[1]), "trials": int(sys.argv[2])}, as_of=sys.argv[3])
    if not (result["promotion"] or {}).get("promoted"):
        sys.exit(f"nothing was released: {result['error'] or result['verdict']}")
    print(json.dumps(result))
