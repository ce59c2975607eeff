"""Reusable machine-learning pipelines: written once, run here, on Airflow and on Prefect."""

from __future__ import annotations

from .artifacts import Approval, Deployment, Metrics, Model, Promotion, Report, Verdict
from .context import secret
from .graph import pipeline, step
from .tables import Dataset
from .tracing import each, either, otherwise, when

__version__ = "0.1.0"
__all__ = [
    "Approval",
    "Dataset",
    "Deployment",
    "Metrics",
    "Model",
    "Promotion",
    "Report",
    "Verdict",
    "each",
    "either",
    "otherwise",
    "pipeline",
    "secret",
    "step",
    "when",
]
