"""A whole Airflow of your own, until Ctrl-C: `make airflow`.

It starts Airflow's four processes, watches them and ends them; the standard library is enough for that.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib.metadata
import json
import secrets
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
    keep,
    kept,
    listen_for_endings,
    lock_home,
    outer_environment,
    places,
    progress,
    run_until_ended,
    send,
)

__all__ = ["Airflow", "Died", "InUse", "Refused", "free_port"]
DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
COMMAND = (sys.executable, "-P", "-m", "airflow")


@dataclass(kw_only=True)
class Airflow(Ensemble):
    """An Airflow on loopback: where it lives, who may log in, and the processes it is made of."""

    program: ClassVar[str] = "airflow"
    server: ClassVar[str] = "api-server"
    passwords: Mapping[str, str] = field(repr=False)
    tokens: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def at(
        cls,
        home: Path,
        *,
        dags: Path,
        plugins: Path,
        users: Mapping[str, tuple[str, str]],
        port: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """One that is not started yet. `users` have a role and a password; `environment` has the last word."""
        lock = lock_home(home, "An Airflow")
        passwords = {name: password for name, (_, password) in users.items()}
        keep(home / "passwords.json", json.dumps(passwords))
        port = free_port(port)
        settings = _settings(home, port) | {
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, (role, _) in users.items()),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        }
        everything = {**outer_environment("AIRFLOW_"), **settings, **(environment or {})}
        return cls(home=home, port=port, environment=everything, passwords=passwords, lock=lock)

    def start(self) -> None:
        """Start everything; nothing is ready yet."""
        # The API server takes longest, and looks at no table before it is asked: it need not wait for the database.
        self.start_one("api-server")
        self.carry_out("db-migrate", [*COMMAND, "db", "migrate"])
        for component in COMPONENTS[1:]:
            self.start_one(component)

    def start_one(self, component: str) -> None:
        """Start one of the four."""
        # Airflow's log servers listen on every address; on one machine the API server reads the files itself.
        options = ["--skip-serve-logs"] if component in ("scheduler", "triggerer") else []
        more = {} if component == "api-server" else self._patient()
        self.running[component] = self.launch(component, [*COMMAND, component, *options], more=more)

    def _patient(self) -> dict[str, str]:
        """Have a process wait for sqlite's lock rather than end. The API server now and then waits for itself, until
        it gives up after five seconds: it must not be patient, too.
        """
        url = self.environment[DATABASE]
        return {DATABASE: f"{url}?timeout=60"} if url.startswith("sqlite:") else {}

    def health(self) -> dict[str, bool]:
        """Which components say that they are well; empty while nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/api/v2/monitor/health", timeout=5) as answer:
                return {name: said["status"] == "healthy" for name, said in json.load(answer).items() if said}
        except (OSError, ValueError):
            return {}

    def wait_until_healthy(self, seconds: float = 180, tell: Callable[[int], None] = lambda _: None) -> None:
        """Return when all four are well (the API server answers, and speaks for the others and the database)."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.check_alive()
            health = self.health()
            tell(sum(health.values()))
            if len(health) == len(COMPONENTS) and all(health.values()):
                return
            time.sleep(0.2)
        logs = "\n".join(self.tail(component) for component in COMPONENTS)
        raise Died(f"Airflow is not ready after {seconds:.0f} s; it says {self.health()}.\n{logs}")

    def request(self, method: str, path: str, body: Any = None, user: str = "admin") -> Any:
        """Ask the API as one of the users; `path` begins with a slash. The answer is parsed JSON."""
        if user not in self.tokens:
            login = {"username": user, "password": self.passwords[user]}
            self.tokens[user] = send("POST", f"{self.url}/auth/token", login)["access_token"]
        return send(method, self.url + path, body, f"Bearer {self.tokens[user]}")

    def dags(self) -> set[str]:
        """The ids of the DAGs there are."""
        return {one["dag_id"] for one in self.request("GET", "/api/v2/dags?limit=100")["dags"]}

    def import_errors(self) -> dict[str, str]:
        """What could not be imported, DAG files and plugins, and why."""
        dags = self.request("GET", "/api/v2/importErrors?limit=100")["import_errors"]
        plugins = self.request("GET", "/api/v2/plugins/importErrors")["import_errors"]
        return {one["filename"]: one["stack_trace"] for one in dags} | {one["source"]: one["error"] for one in plugins}

    def is_deaf(self, pid: int) -> bool:
        """LocalExecutor sends as many farewells as it counts workers alive, while those already told are ending: now
        and then one gets none. It then waits for ever, deaf to SIGINT and SIGTERM, and the scheduler waits for it.

        The rest hears: after a first SIGINT the scheduler waits for its running tasks; at SIGTERM a task cleans up
        (`on_kill`) and goes on, strangely; a SIGINT of its own ends it.
        """
        try:
            return "LocalExecutor: <idle>" in Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            return False


def _settings(home: Path, port: int) -> dict[str, str]:
    """How Airflow is set up, but for what it runs and who may use it.

    Its keys come from one secret that stays at home, so that the four agree and a restart changes nothing.
    """
    secret = kept(home / "secret", lambda: secrets.token_hex(32))

    def key(name: str) -> bytes:
        return hashlib.sha512(f"{name} {secret}".encode()).digest()

    settings = {
        "API__BASE_URL": f"http://127.0.0.1:{port}",
        "API__HOST": "127.0.0.1",
        "API__PORT": str(port),
        "API__SECRET_KEY": key("api").hex(),
        "API__WORKERS": "1",
        "API_AUTH__JWT_SECRET": key("jwt").hex(),
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "CORE__FERNET_KEY": base64.urlsafe_b64encode(key("fernet")[:32]).decode(),
        "CORE__HOSTNAME_CALLABLE": "socket.gethostname",  # the full name may have to wait for a name server
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__PARALLELISM": "4",  # so many workers are forked, and each is slow at its first task
        "DAG_PROCESSOR__REFRESH_INTERVAL": "5",  # a new file is seen in seconds, not in minutes
        "DATABASE__CHECK_MIGRATIONS": "False",  # done once, by start()
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "LOGGING__COLORED_CONSOLE_LOG": "False",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
        "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",  # also how long a worker may take to see that its task has ended
    }
    return {"AIRFLOW_HOME": str(home)} | {f"AIRFLOW__{name}": value for name, value in settings.items()}


def main() -> int:
    """Start, say where, wait for Ctrl-C, stop."""
    parser = argparse.ArgumentParser(description="Start an Airflow with plugins/ and dags/ on this machine.")
    parser.add_argument("--check", action="store_true", help="start afresh, see that every DAG is there, and stop")
    parser.add_argument("--home", type=Path, help="default: .airflow/; with --check a temporary folder")
    parser.add_argument("--dags", type=Path, default=ROOT / "dags", help="default: dags/")
    parser.add_argument("--port", type=int, default=8080, help="default: 8080, or any if that is taken")
    given = parser.parse_args()
    if not Path("/proc/self").exists():
        parser.error("this looks after its processes by /proc, which Linux has")
    if not given.dags.is_dir():
        parser.error(f"there is no folder {given.dags}")
    listen_for_endings()
    with tempfile.TemporaryDirectory(prefix="airflow-") as passing:
        home = given.home or (Path(passing) if given.check else ROOT / ".airflow")
        try:
            return _run(_prepared(home.resolve(), given.dags.resolve(), given.port), check=given.check)
        except InUse as error:
            print(error, file=sys.stderr)
            return 2


def _prepared(home: Path, dags: Path, port: int) -> Airflow:
    """With one user, whose password is made once."""
    file = home / "passwords.json"
    password = json.loads(file.read_text())["admin"] if file.exists() else secrets.token_urlsafe(12)
    users = {"admin": ("admin", password)}
    return Airflow.at(home, dags=dags, plugins=ROOT / "plugins", users=users, port=port, environment=places(home))


def _run(airflow: Airflow, *, check: bool) -> int:
    def play() -> int:
        tell = progress(f"Airflow {importlib.metadata.version('apache-airflow')}", len(COMPONENTS))
        tell(0)
        airflow.start()
        airflow.wait_until_healthy(tell=tell)
        return _check(airflow) if check else _watch(airflow)

    return run_until_ended(airflow, "Airflow", play)


def _watch(airflow: Airflow) -> int:
    """Say where it is, then wait; it ends by a signal, or because a process died."""
    print(f"\n\n  {airflow.url}\n  user      admin\n  password  {airflow.passwords['admin']}\n")
    if airflow.environment.get("OSTINATO_FRAUD_DETECTION_SOURCE") == str(SAMPLE):
        print("Trigger fraud_detection with `as of` 2026-03-20, then a week later: the sample ends in April.")
    print(f"Logs and database are in {airflow.home}. Ctrl-C stops it.", flush=True)
    while True:
        airflow.check_alive()
        time.sleep(0.5)


def _check(airflow: Airflow, seconds: float = 60) -> int:
    """Compare what Airflow lists with the files there are, once it has had the time to parse them."""
    files = {path.stem for path in Path(airflow.environment["AIRFLOW__CORE__DAGS_FOLDER"]).glob("*.py")}
    until = time.monotonic() + seconds
    while not (errors := airflow.import_errors()) and airflow.dags() != files and time.monotonic() < until:
        airflow.check_alive()
        time.sleep(0.2)
    dags = airflow.dags()
    print(f"\nDAGs: {', '.join(sorted(dags)) or 'none'}.")
    complaints = [f"{name} cannot be imported: {text}" for name, text in errors.items()]
    complaints += [f"There is a file {name}.py, but no DAG of that name." for name in sorted(files - dags)]
    complaints += [f"There is a DAG {name}, but no file of that name." for name in sorted(dags - files)]
    print("\n".join(complaints) or "Each has its file, and everything could be imported.", flush=True)
    return int(bool(complaints))


if __name__ == "__main__":
    sys.exit(main())
