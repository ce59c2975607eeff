"""Who may see what on a test's API server: Airflow's simple auth manager, and one DAG that viewers may not read."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

SECRET = "pages_secret"  # viewers may not read this DAG
STATIC = "pages_static"  # and of this one everything but its runs


class Doorkeeper(SimpleAuthManager):
    """Lets a viewer read every DAG but one, and the runs of every DAG but two."""

    def is_authorized_dag(self, *, user: Any, details: Any = None, access_entity: Any = None, **asked: Any) -> bool:
        """As a company's own auth manager would decide, by user, DAG and what of it is asked for."""
        dag_id = details.id if details else None
        hidden = dag_id == SECRET or (dag_id == STATIC and access_entity == DagAccessEntity.RUN)
        if hidden and user.role == "viewer":
            return False
        return bool(super().is_authorized_dag(user=user, details=details, access_entity=access_entity, **asked))
