"""A whole Prefect of your own, until Ctrl-C: `make prefect`.

It starts a server and a worker, deploys what prefect.yaml lists, watches both and ends them.
"""

from __future__ import annotations

import argparse
import base64
import importlib.metadata
import os
import secrets
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self

sys.path.insert(0, str(Path(__file__).parent))  # also where this file is loaded by its path

from processes import (
    ROOT,
    SAMPLE,
    Died,
    Ensemble,
    InUse,
    Refused,
    free_port,
    kept,
    listen_for_endings,
    lock_home,
    outer_environment,
    places,
    progress,
    run_until_ended,
    send,
    send_signal,
)

COMMAND = (sys.executable, "-P", "-m", "prefect", "--no-prompt")
POOL, USER = "ostinato", "admin"
PARTS = 3  # server, deployments, worker


@dataclass(kw_only=True)
class Prefect(Ensemble):
    """A Prefect on loopback: where it lives, what it deploys, the password of its user, and its processes."""

    program: ClassVar[str] = "prefect"
    server: ClassVar[str] = "server"
    project: Path
    password: str = field(repr=False)
    worker_since: datetime | None = None

    @classmethod
    def at(
        cls, home: Path, *, project: Path = ROOT, port: int = 0, environment: Mapping[str, str] | None = None
    ) -> Self:
        """One that is not started yet. `project` is the folder of prefect.yaml; `environment` has the last word."""
        lock = lock_home(home, "A Prefect")
        password = kept(home / "password", lambda: secrets.token_urlsafe(12))
        port = free_port(port)
        everything = {**outer_environment("PREFECT_"), **_settings(home, port, password), **(environment or {})}
        return cls(home=home, port=port, environment=everything, lock=lock, project=project, password=password)

    @property
    def api(self) -> str:
        """Where programs find it: PREFECT_API_URL."""
        return f"{self.url}/api"

    def start(self, seconds: float = 180, tell: Callable[[int], None] = lambda _: None) -> None:
        """Start the server, then the worker, and deploy; the worker may not be online yet."""
        self.start_one("server")
        self._wait_for_server(seconds, tell)
        # Worker and deployments want the pool; the worker fills in how its processes are started.
        self._create_pool()
        self.start_one("worker")
        self.deploy(lambda: tell(1))

    def start_one(self, component: str) -> None:
        """Start the server or the worker."""
        commands = {"server": ["server", "start"], "worker": ["worker", "start", "--name", POOL, "--pool", POOL]}
        if component == "worker":
            self.worker_since = datetime.now(UTC)
        self.running[component] = self.launch(component, [*COMMAND, *commands[component]])

    def deploy(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Deploy all that prefect.yaml lists; raise if something there cannot be deployed."""
        self.carry_out("deploy", [*COMMAND, "deploy", "--all"], self.project, meanwhile)

    def wait_until_healthy(self, seconds: float = 180, tell: Callable[[int], None] = lambda _: None) -> None:
        """Return when the server answers and the worker that was started last is online."""
        until = time.monotonic() + seconds
        while not self.worker_is_online():
            self.check_alive()
            tell(PARTS - 1)
            if time.monotonic() > until:
                raise Died(f"The worker is not online after {seconds:.0f} s.\n{self.tail('worker')}")
            time.sleep(0.2)
        tell(PARTS)

    def worker_is_online(self) -> bool:
        """Whether the worker that was started last has been heard of: one of its name may have died just before."""
        workers = self.request("POST", f"/work_pools/{POOL}/workers/filter", {})
        heard = [datetime.fromisoformat(one["last_heartbeat_time"]) for one in workers if one["status"] == "ONLINE"]
        return self.worker_since is not None and any(time >= self.worker_since for time in heard)

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the API; `path` begins with a slash and stands below /api. The answer is parsed JSON."""
        return ask(method, self.api + path, body, f"Basic {self._credentials()}")

    def deployments(self) -> set[tuple[str, str]]:
        """Names and entrypoints of the deployments there are."""
        return {(one["name"], one["entrypoint"]) for one in self.request("POST", "/deployments/filter", {})}

    def stop(self, grace: float = 5) -> set[int]:
        """End flow runs, worker and server, and see that they are gone; the pids that only SIGKILL could end are
        returned.

        The runs go first, while the worker waits for them: then each tells the server that it has crashed. A worker
        that is interrupted ends its runs in a way that leaves them no time for it; on paper they would run for ever.
        """
        for pid in self.processes() - self.started:
            send_signal(pid, signal.SIGTERM)
        until = time.monotonic() + grace
        while (self.processes() - self.started or self._has_running()) and time.monotonic() < until:
            time.sleep(0.1)
        return super().stop(grace)

    def _has_running(self) -> bool:
        """Whether the server takes a run of this worker for running."""
        if self.worker_since is None or any(process.poll() is not None for process in self.running.values()):
            return False
        wanted = {"state": {"type": {"any_": ["RUNNING"]}}, "start_time": {"after_": self.worker_since.isoformat()}}
        try:
            return bool(self.request("POST", "/flow_runs/filter", {"flow_runs": wanted}))
        except (OSError, Refused):
            return False  # the server cannot say, and stopping goes on

    def _wait_for_server(self, seconds: float, tell: Callable[[int], None]) -> None:
        until = time.monotonic() + seconds
        while not self._answers():
            self.check_alive()
            tell(0)
            if time.monotonic() > until:
                raise Died(f"The server is not ready after {seconds:.0f} s.\n{self.tail('server')}")
            time.sleep(0.1)
        tell(1)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.api}/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _create_pool(self) -> None:
        try:
            self.request("POST", "/work_pools/", {"name": POOL, "type": "process"})
        except Refused as refusal:
            if refusal.status != 409:  # it is there since the last time
                raise

    def _credentials(self) -> str:
        return base64.b64encode(f"{USER}:{self.password}".encode()).decode()


def ask(method: str, url: str, body: Any, authorization: str) -> Any:
    """What the API answers; asked again where its sqlite was locked, as Prefect's own clients do."""
    for tries in range(1, 8):
        try:
            return send(method, url, body, authorization)
        except Refused as refusal:
            if tries == 7 or refusal.status != 503:
                raise
            time.sleep(tries / 4)
    raise AssertionError


def _settings(home: Path, port: int, password: str) -> dict[str, str]:
    """How Prefect is set up. It also reads .env, pyproject.toml and prefect.toml where it is started: at home there
    are none, and what would lead `prefect deploy` astray is set here, which wins."""
    outer = os.environ.get("PYTHONPATH")
    return {
        "DO_NOT_TRACK": "1",
        "PREFECT_API_AUTH_STRING": f"{USER}:{password}",
        "PREFECT_API_KEY": "",  # of Prefect's cloud
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",  # the UI in the browser asks there, too
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # the least: a run whose process was killed is missed by this
        "PREFECT_HOME": str(home),
        "PREFECT_LOGGING_COLORS": "false",
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_API_AUTH_STRING": f"{USER}:{password}",
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home}/prefect.db",
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",  # a slow disk may lock sqlite for longer than the usual ten seconds
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PYTHONPATH": f"{ROOT / 'plugins'}{os.pathsep}{outer}" if outer else str(ROOT / "plugins"),
        "PYTHONUNBUFFERED": "1",  # what a flow prints is in the log at once
    }


def main() -> int:
    """Start, say where, wait for Ctrl-C, stop."""
    parser = argparse.ArgumentParser(description="Start a Prefect with the deployments of prefect.yaml here.")
    parser.add_argument("--check", action="store_true", help="start afresh, see that all was deployed, and stop")
    parser.add_argument("--home", type=Path, help="default: .prefect/; with --check a temporary folder")
    parser.add_argument("--project", type=Path, default=ROOT, help="the folder of prefect.yaml; default: the checkout")
    parser.add_argument("--port", type=int, default=4200, help="default: 4200, or any if that is taken")
    given = parser.parse_args()
    if not Path("/proc/self").exists():
        parser.error("this looks after its processes by /proc, which Linux has")
    if not (given.project / "prefect.yaml").is_file():
        parser.error(f"there is no file {given.project / 'prefect.yaml'}")
    listen_for_endings()
    with tempfile.TemporaryDirectory(prefix="prefect-") as passing:
        home = (given.home or (Path(passing) if given.check else ROOT / ".prefect")).resolve()
        try:
            prefect = Prefect.at(home, project=given.project.resolve(), port=given.port, environment=places(home))
        except InUse as error:
            print(error, file=sys.stderr)
            return 2
        return _run(prefect, check=given.check)


def _run(prefect: Prefect, *, check: bool) -> int:
    def play() -> int:
        tell = progress(f"Prefect {importlib.metadata.version('prefect')}", PARTS)
        tell(0)
        prefect.start(tell=tell)
        prefect.wait_until_healthy(tell=tell)
        return _check(prefect) if check else _watch(prefect)

    return run_until_ended(prefect, "Prefect", play)


def _watch(prefect: Prefect) -> int:
    """Say where it is, then wait; it ends by a signal, or because a process died."""
    print(f"\n\n  {prefect.url}\n  user      {USER}\n  password  {prefect.password}\n")
    print(f"The browser wants both in one field: {USER}:{prefect.password}")
    if prefect.environment.get("OSTINATO_FRAUD_DETECTION_SOURCE") == str(SAMPLE):
        print("Run fraud_detection with `as_of` 2026-03-20, then a week later: the sample ends in April.")
    print(f"Logs and database are in {prefect.home}. Ctrl-C stops it.", flush=True)
    while True:
        prefect.check_alive()
        time.sleep(0.5)


def _check(prefect: Prefect) -> int:
    """Compare what Prefect lists with what prefect.yaml does."""
    import yaml  # Prefect's own

    listed = yaml.safe_load((prefect.project / "prefect.yaml").read_text()).get("deployments") or []
    wanted = {(str(one.get("name")), str(one.get("entrypoint"))) for one in listed}  # Prefect skips one without a name
    found = prefect.deployments()
    names = sorted(f"{entrypoint.rpartition(':')[2]}/{name}" for name, entrypoint in found)
    print(f"\nDeployments: {', '.join(names) or 'none'}.")
    complaints = [f"{name} ({entrypoint}) was not deployed." for name, entrypoint in sorted(wanted - found)]
    complaints += [f"{name} ({entrypoint}) is not in prefect.yaml." for name, entrypoint in sorted(found - wanted)]
    print("\n".join(complaints) or "All of prefect.yaml is there, and the worker is online.", flush=True)
    return int(bool(complaints))


if __name__ == "__main__":
    sys.exit(main())
