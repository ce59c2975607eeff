"""A deployment target as small as one can be: each deployment is an HTTP server on loopback that serves the model.

Its configuration may name, by the model's URI: `digits`, to which it rounds its answers, and `refuse`, what it raises.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import mlflow
import pytest
from mlflow.deployments import BaseDeploymentClient, PredictionsResponse
from mlflow.deployments.interface import plugin_store
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server

SERVING: dict[str, Serving] = {}


class Serving:
    """One deployment: a model loaded by its URI, and the server that answers for it."""

    def __init__(self, model_uri: str, config: Any) -> None:
        if why := (config or {}).get("refuse", {}).get(model_uri):
            raise {"away": ConnectionError, "full": MlflowException}[why](f"the target is {why}")
        model: Any = mlflow.pyfunc.load_model(model_uri)
        digits = (config or {}).get("digits", {}).get(model_uri)
        schema = model.metadata.get_input_schema()

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = self.rfile.read(int(self.headers["content-length"])).decode()
                served: Any = scoring_server
                answer = json.loads(served.invocations(request, "application/json", model, schema).response)
                if digits is not None:
                    answer = {"predictions": rounded(answer["predictions"], digits)}
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.model_uri = model_uri
        self.server = HTTPServer(("127.0.0.1", 0), Answer)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def ask(self, inputs: Any) -> Any:
        """What it answers over HTTP."""
        body = json.dumps({"dataframe_split": {"columns": list(inputs), "data": inputs.to_numpy().tolist()}})
        request = Request(f"http://127.0.0.1:{self.server.server_port}/invocations", body.encode())
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def stop(self) -> None:
        """Stop answering."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def rounded(answer: Any, digits: int) -> Any:
    """All numbers of an answer with so many digits behind the point."""
    if isinstance(answer, dict):
        return {name: rounded(each, digits) for name, each in answer.items()}
    if isinstance(answer, list):
        return [rounded(each, digits) for each in answer]
    return round(answer, digits) if isinstance(answer, float) else answer


class LittleClient(BaseDeploymentClient):  # type: ignore[misc]
    """What MLflow asks of a target."""

    def create_deployment(
        self, name: str, model_uri: str, flavor: Any = None, config: Any = None, endpoint: Any = None
    ) -> Any:
        if name in SERVING:
            raise MlflowException(f"there is a deployment {name} already")
        SERVING[name] = Serving(model_uri, config)
        return {"name": name}

    def update_deployment(
        self, name: str, model_uri: Any = None, flavor: Any = None, config: Any = None, endpoint: Any = None
    ) -> Any:
        new = Serving(model_uri, config)
        SERVING[name].stop()
        SERVING[name] = new

    def delete_deployment(self, name: str, config: Any = None, endpoint: Any = None) -> Any:
        if name in SERVING:
            SERVING.pop(name).stop()

    def list_deployments(self, endpoint: Any = None) -> Any:
        return [{"name": name} for name in SERVING]

    def get_deployment(self, name: str, endpoint: Any = None) -> Any:
        return {"name": name, "model_uri": SERVING[name].model_uri}

    def predict(self, deployment_name: Any = None, inputs: Any = None, endpoint: Any = None) -> Any:
        return PredictionsResponse(SERVING[deployment_name].ask(inputs))


def run_local(*_: Any, **__: Any) -> None:
    """Part of what MLflow wants of a target."""


def target_help() -> str:
    """Part of what MLflow wants of a target."""
    return "little"


@contextmanager
def installed(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[dict[str, Serving]]:
    """Make the target known to MLflow as a package is, by an entry point; what serves there, by name."""
    described = folder / "little_target-1.0.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: little-target\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[mlflow.deployments]\nlittle = integrations.little_target\n")
    patch.syspath_prepend(str(folder))
    registry = dict(plugin_store.registry)
    plugin_store.register_entrypoints()
    try:
        yield SERVING
    finally:
        plugin_store.registry.clear()
        plugin_store.registry.update(registry)
        for name in list(SERVING):
            SERVING.pop(name).stop()
