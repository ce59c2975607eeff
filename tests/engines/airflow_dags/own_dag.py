"""An Airflow DAG as somebody writes it by hand, of single operators."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from ostinato.engines.airflow_dag import (
    AlertOperator,
    FraudFeaturesOperator,
    LoadDataOperator,
    SlackIncidentNotifier,
    SplitByTimeOperator,
    TrainModelOperator,
    ValidateDataOperator,
)

tell = SlackIncidentNotifier(channel="#own")

with DAG("own", params={"source": Param("", type="string")}, on_success_callback=tell, on_failure_callback=tell):
    table = LoadDataOperator(task_id="load", source="{{ params.source }}", time="ts")
    suite = {"dataset": "transactions", "expectations": [{"column_values_to_be_unique": "tx_id"}]}
    checked = ValidateDataOperator(task_id="validate", data=table.output, suite=suite)
    features = FraudFeaturesOperator(task_id="features", transactions=checked.output)
    split = SplitByTimeOperator(task_id="split", data=features.output, test_days=7)
    model = TrainModelOperator(task_id="train", data=split.part(0), options={"max_iter": 5})
    told = AlertOperator(task_id="tell", title="a model was trained", on_failure_callback=tell)
    model >> told
