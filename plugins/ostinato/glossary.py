"""What terms mean, told only where they are spoken of."""

from __future__ import annotations

import re
from collections.abc import Iterable

GLOSSARY = {
    "Activity": "how many items a user took in the training data",
    "Alert": "a row the model flags, to be looked at by a person",
    "Average precision": "how many of the alerts are right, averaged over all thresholds: 1 is perfect, and guessing "
    "reaches the base rate",
    "Base rate": "the share of rows that are positive",
    "Calibration": "whether of the rows given a probability of 20% about one in five is positive",
    "Candidate": "the model trained in this run",
    "Card precision": "of the cards that can be reviewed on a day, the most suspicious first, the share that was "
    "compromised",
    "Catalogue": "all items that can be recommended, which are those in the training data",
    "Champion": "the version in place before this run, tried again on what the candidate was judged on",
    "Cold": "said of a user or an item that training has never seen",
    "Coverage": "the share of the catalogue that is recommended to anybody at all",
    "Digest": "a fingerprint of content: the same content gives the same digest",
    "Exposure": "how the recommendations are spread over the catalogue",
    "Interaction": "that a user took an item: bought, watched or read it, or whatever the table tells of",
    "Interval": "the range that chance alone explains, found by drawing anew many times from what was judged on "
    "(bootstrap)",
    "Ledger": "the list of all promotions; entries are added, never changed",
    "MAP@k": "mean average precision: how many of the items shown are right, averaged over the places in the list of k "
    "at which a right one stands, then over users",
    "Margin": "by how much the candidate may be worse than the champion and still count as not worse",
    "nDCG@k": "how high the items that a user then took stand in a list of k, averaged over users: 1 is perfect, and "
    "an item counts for less the lower it stands",
    "Not enough data": "the check could not be answered with what there was to judge on, which never counts as passed",
    "Novelty": "how unusual the recommended items are, on average, in bits: one bit more is an item half as popular",
    "Popularity": "of an item, how many users took it in the training data; as a rival, to show everybody the most "
    "popular items",
    "Positive": "a row that is what the model looks for, such as a fraud",
    "Precision": "the share of alerts that are right",
    "Precision@k": "the share of the k items shown that the user then took, averaged over users",
    "Quarantine": "rows set aside before training because they break a rule",
    "Recall": "the share of the positives that are found",
    "Recall@k": "the share of what a user then took that is among the k items shown, averaged over users",
    "ROC AUC": "the chance that a positive is ranked above another row",
    "Slice": "a part of what was judged on, such as one channel or the least active users, judged by itself",
    "Validation part": "a part of the training data, held back to choose among candidates; the test has no part in it",
}

# Terms that not every judgement speaks of, by the names of the metrics, checks and evidence that do.
_NAMES_OF = {
    "Activity": r"activity",
    "Alert": r"average_precision|alerts|recall_at_fpr_.*",
    "Average precision": r"average_precision",
    "Base rate": r"base_rate|average_precision",
    "Calibration": r"calibration|calibration_error",
    "Card precision": r"card_precision_at_\d+",
    "Catalogue": r"coverage|catalogue|exposure",
    "Cold": r"cold_\w+_share",
    "Coverage": r"coverage",
    "Exposure": r"exposure",
    "Interaction": r"interactions",
    "MAP@k": r"map_at_\d+",
    "nDCG@k": r"ndcg_at_\d+",
    "Novelty": r"novelty",
    "Popularity": r"popularity|popularity_\w+",
    "Positive": r"positives|base_rate|average_precision",
    "Precision": r"average_precision|precision_recall",
    "Precision@k": r"precision_at_\d+",
    "Recall": r"recall_at_fpr_.*|precision_recall",
    "Recall@k": r"recall_at_\d+",
    "ROC AUC": r"roc_auc",
    "Validation part": r"candidates",
}


def terms(names: Iterable[str]) -> dict[str, str]:
    """The terms to tell where metrics, checks and evidence of these names are shown."""
    spoken = list(names)
    return {
        term: said
        for term, said in GLOSSARY.items()
        if term not in _NAMES_OF or any(re.fullmatch(_NAMES_OF[term], name) for name in spoken)
    }
