"""The fraud pipeline as a plain script: what a good data scientist would write in one file, with the same libraries.

    python benchmarks/plain_fraud.py SOURCE HOME

The same rules, features, split, model, metrics and MLflow run as `ostinato run fraud_detection`; no steps, records,
digests, retries, quarantine or report. Great Expectations is used as its documentation shows it, on pandas. Prints its
metrics as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from datetime import timedelta
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SKIP_PIP_REQUIREMENTS_CHECK", "true")

import duckdb
import great_expectations as gx
import great_expectations.expectations as gxe
import mlflow
import numpy as np
import pandas as pd
import skops.io
from mlflow.models import infer_signature
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from features import BY_HAND

LABEL_DELAY, TEST_DAYS, K, REVIEW_COST = 7, 7, 100, 5.0
FEATURES = [
    "amount",
    *(f"card_{what}_{days}d" for what in ("count", "sum", "mean") for days in (1, 7, 30)),
    *("card_ratio", "card_seconds_since"),
    *(f"terminal_{what}_{days}d" for what in ("count", "fraud") for days in (1, 7, 30)),
    *("hour", "night", "weekend"),
]


def check(source: str) -> None:
    """The usual rules for transactions, or an end."""
    table = pd.read_parquet(
        [str(file) for file in Path(source).glob("*.parquet")],
        columns=["tx_id", "ts", "card_id", "terminal_id", "amount", "is_fraud"],
    )
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("source").add_dataframe_asset("transactions")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": table})
    rules = [
        gxe.ExpectColumnValuesToBeUnique(column="tx_id"),
        *(gxe.ExpectColumnValuesToNotBeNull(column=name) for name in table.columns if name != "is_fraud"),
        gxe.ExpectColumnValuesToBeBetween(column="ts", max_value=pd.Timestamp.now()),
        gxe.ExpectColumnValuesToBeBetween(column="amount", min_value=0, max_value=900_000_000_000),
        gxe.ExpectColumnValuesToBeInSet(column="is_fraud", value_set=[0, 1]),
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
    ]
    result = batch.validate(gx.ExpectationSuite(name="transactions", expectations=rules), result_format="BASIC")
    if not result.success:
        sys.exit(f"{source} does not meet the rules: {result}")


def load(source: str) -> pd.DataFrame:
    """All features, in a defined order."""
    with duckdb.connect(config={"memory_limit": "1500MB", "temp_directory": f"{source}/_spill"}) as connection:
        return connection.sql(f"FROM ({BY_HAND.format(path=f'{source}/*.parquet')}) ORDER BY time, id").df()


def card_precision(test: pd.DataFrame) -> float:
    """As in the Fraud Detection Handbook: mean over days, detected cards leave."""
    found: set[object] = set()
    days = []
    for _, day in test.groupby(test["time"].dt.date):
        cards = day[~day["card"].isin(found)].groupby("card")[["score", "label"]].max()
        top = cards.sort_values("score", ascending=False).head(K)
        found |= set(top.index[top["label"] == 1])
        days.append((top["label"] == 1).sum() / K)
    return float(np.mean(days))


def money(test: pd.DataFrame) -> tuple[float, float]:
    """The least cost over all thresholds, and that of doing nothing."""
    ranked = test.sort_values("score", ascending=False)
    saved = np.cumsum(np.where(ranked["label"] == 1, ranked["amount"].clip(lower=0), 0.0))
    costs = saved[-1] - saved + REVIEW_COST * np.arange(1, len(ranked) + 1)
    return float(min(saved[-1], costs.min())), float(saved[-1])


def main(source: str, home: str) -> None:
    """Check, load, train, judge, log, register."""
    check(source)
    data = load(source)
    as_of = data["time"].max().normalize() + timedelta(days=1)
    test_until = as_of - timedelta(days=LABEL_DELAY)
    test_from = test_until - timedelta(days=TEST_DAYS)
    train = data[data["time"] < test_from - timedelta(days=LABEL_DELAY)]
    test = data[(data["time"] >= test_from) & (data["time"] < test_until)].copy()

    model = HistGradientBoostingClassifier(random_state=7).fit(train[FEATURES].astype(float), train["label"])
    test["score"] = model.predict_proba(test[FEATURES].astype(float))[:, 1]
    fpr, recall, _ = roc_curve(test["label"], test["score"])
    cost, nothing = money(test)
    metrics = {
        "average_precision": float(average_precision_score(test["label"], test["score"])),
        "roc_auc": float(roc_auc_score(test["label"], test["score"])),
        "recall_at_fpr": float(recall[fpr <= 0.01].max()),
        "card_precision_at_100": card_precision(test),
        "cost": cost,
        "cost_of_doing_nothing": nothing,
        "base_rate": float(test["label"].mean()),
    }

    mlflow.set_tracking_uri(f"sqlite:///{home}/mlflow.db")
    if mlflow.get_experiment_by_name("fraud") is None:
        mlflow.create_experiment("fraud", artifact_location=f"file://{home}/mlartifacts")
    mlflow.set_experiment("fraud")
    content = b"".join(file.read_bytes() for file in sorted(Path(source).glob("*.parquet")))
    with mlflow.start_run():
        mlflow.log_params({"label_delay_days": LABEL_DELAY, "test_days": TEST_DAYS, "k": K, "source": source})
        mlflow.set_tag("data", hashlib.sha256(content).hexdigest())
        mlflow.log_metrics(metrics)
        example = train[FEATURES].astype(float).head(200)
        types = skops.io.get_untrusted_types(data=skops.io.dumps(model))
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(example, model.predict_proba(example)),
            serialization_format="skops",
            skops_trusted_types=types,
            pip_requirements=["scikit-learn", "skops"],
            pyfunc_predict_fn="predict_proba",
            registered_model_name="fraud",
        )
    print(json.dumps(metrics))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
