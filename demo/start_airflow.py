"""A whole Airflow of your own, until Ctrl-C: `make airflow`.

It starts Airflow's four processes, watches them and ends them; the standard library is enough for that.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / ".ostinato/sample/transactions"  # of `make run`
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
COMMAND = (sys.executable, "-P", "-m", "airflow")


class Died(Exception):
    """A process ended by itself or never got ready; the text ends with its log."""


class InUse(Exception):
    """Another Airflow, or what is left of one, runs in the same home."""


class Refused(Exception):
    """The API answered with an error; `status` is its code."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


@dataclass
class Airflow:
    """An Airflow on loopback: where it lives, who may log in, and the processes it is made of."""

    home: Path
    port: int
    environment: Mapping[str, str]
    passwords: Mapping[str, str]
    lock: IO[str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    started: set[int] = field(default_factory=set)
    tokens: dict[str, str] = field(default_factory=dict)

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
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _locked(home / "lock")
        passwords = {name: password for name, (_, password) in users.items()}
        _keep(home / "passwords.json", json.dumps(passwords))
        port = free_port(port)
        settings = _settings(home, port) | {
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, (role, _) in users.items()),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        }
        left_out = ("AIRFLOW_", "PYTHONDONTWRITEBYTECODE")  # without .pyc files every process compiles Airflow anew
        outer = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        return cls(home, port, {**outer, **settings, **(environment or {})}, passwords, lock)

    @property
    def url(self) -> str:
        """Where people and programs find it."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start everything; nothing is ready yet."""
        # The API server takes longest, and looks at no table before it is asked: it need not wait for the database.
        self.start_one("api-server")
        with open(self.home / "migrate.log", "ab") as log:
            command = [*COMMAND, "db", "migrate"]
            done = subprocess.run(command, env=self.environment, stdout=log, stderr=log, cwd=self.home, check=False)
        if done.returncode:
            raise Died(f"`airflow db migrate` failed.\n{self.tail('migrate')}")
        for component in COMPONENTS[1:]:
            self.start_one(component)

    def start_one(self, component: str) -> None:
        """Start one of the four, in a session of its own: Ctrl-C is for us alone, and its family can be found."""
        # Airflow's log servers listen on every address; on one machine the API server reads the files itself.
        options = ["--skip-serve-logs"] if component in ("scheduler", "triggerer") else []
        with open(self.home / f"{component}.log", "ab") as log:
            process = subprocess.Popen(
                [*COMMAND, component, *options],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                start_new_session=True,
                pass_fds=[self.lock.fileno()],  # held as long as one of them lives, whatever becomes of us
            )
        self.running[component] = process
        self.started.add(process.pid)
        print(process.pid, end=" ", file=self.lock, flush=True)

    def check_alive(self) -> None:
        """Raise if one of the four has ended."""
        for component, process in self.running.items():
            if process.poll() is not None:
                raise Died(f"`airflow {component}` ended with {process.returncode}.\n{self.tail(component)}")

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
            self.tokens[user] = _send("POST", f"{self.url}/auth/token", login)["access_token"]
        return _send(method, self.url + path, body, self.tokens[user])

    def dags(self) -> set[str]:
        """The ids of the DAGs there are."""
        return {one["dag_id"] for one in self.request("GET", "/api/v2/dags?limit=100")["dags"]}

    def import_errors(self) -> dict[str, str]:
        """What could not be imported, DAG files and plugins, and why."""
        dags = self.request("GET", "/api/v2/importErrors?limit=100")["import_errors"]
        plugins = self.request("GET", "/api/v2/plugins/importErrors")["import_errors"]
        return {one["filename"]: one["stack_trace"] for one in dags} | {one["source"]: one["error"] for one in plugins}

    def tail(self, component: str, lines: int = 30) -> str:
        """The end of a log, under its path."""
        log = self.home / f"{component}.log"
        text = log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []
        return "\n".join([f"--- {log}", *text])

    def processes(self) -> set[int]:
        """The pids of all that lives of it: the four, their workers, and the tasks with their own children."""
        return family(self.started)

    def stop(self, grace: float = 5) -> set[int]:
        """End all of it and see that it is gone; the pids that only SIGKILL could end are returned.

        The API server goes last, because tasks report to it. After a first SIGINT the scheduler waits for its running
        tasks. At SIGTERM a task cleans up (`on_kill`) and goes on, strangely; a SIGINT of its own ends it.
        """
        last = {self.running["api-server"].pid} if "api-server" in self.running else set()
        forced = self._end(self.started - last, grace) | self._end(last, grace)
        self.lock.close()
        return forced

    def _end(self, leaders: set[int], grace: float) -> set[int]:
        alive, forced = family(leaders), set[int]()
        for number in (None, signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
            forced = alive if number == signal.SIGKILL else forced
            for pid in alive if number else alive & leaders:
                _signal(pid, number or signal.SIGINT)
            until = time.monotonic() + grace
            while alive and time.monotonic() < until:
                time.sleep(0.05)
                for process in self.running.values():
                    process.poll()  # a process nobody has waited for stays as a zombie
                alive = family(leaders | alive)
                for pid in filter(_is_idle_worker, alive):
                    _signal(pid, signal.SIGKILL)
        return forced


def free_port(wanted: int = 0) -> int:
    """The wanted port, or any that is free if it is taken."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that linger take no port
        try:
            taken.bind(("127.0.0.1", wanted))
        except OSError:
            taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def family(pids: set[int]) -> set[int]:
    """Those of the processes that live, all in their sessions, and the descendants of both."""
    parents, found = {}, set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, _, session = stat.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue  # it ended just now
        pid = int(stat.parent.name)
        if state != "Z":
            parents[pid] = int(parent)
            if pid in pids or int(session) in pids:
                found.add(pid)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _is_idle_worker(pid: int) -> bool:
    """LocalExecutor sends as many farewells as it counts workers alive, while those already told are ending: now and
    then one gets none. It then waits for ever, deaf to SIGINT and SIGTERM, and the scheduler waits for it."""
    try:
        return "LocalExecutor: <idle>" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _send(method: str, url: str, body: Any, token: str | None = None) -> Any:
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=60) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        raise Refused(error.code, error.read().decode(errors="replace")) from None


def _locked(path: Path) -> IO[str]:
    lock = open(path, "a+")  # noqa: SIM115 -- stop() closes it
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise InUse(
            f"An Airflow runs in {path.parent} already: stop it first (processes {lock.read().strip()})."
        ) from None
    lock.truncate(0)
    return lock


def _keep(path: Path, text: str) -> str:
    """Write a file nobody else may read."""
    path.touch(0o600)
    path.chmod(0o600)
    path.write_text(text)
    return text


def _settings(home: Path, port: int) -> dict[str, str]:
    """How Airflow is set up, but for what it runs and who may use it.

    Its keys come from one secret that stays at home, so that the four agree and a restart changes nothing.
    """
    kept = home / "secret"
    secret = kept.read_text() if kept.exists() else _keep(kept, secrets.token_hex(32))

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
    for number in ENDING:
        signal.signal(number, _interrupt)
    with tempfile.TemporaryDirectory(prefix="airflow-") as passing:
        home = given.home or (Path(passing) if given.check else ROOT / ".airflow")
        try:
            return _run(_prepared(home.resolve(), given.dags.resolve(), given.port), check=given.check)
        except InUse as error:
            print(error, file=sys.stderr)
            return 2


def _prepared(home: Path, dags: Path, port: int) -> Airflow:
    """With one user, whose password is made once, and with the sample where there is one, unless the caller's
    environment names another table."""
    kept = home / "passwords.json"
    password = json.loads(kept.read_text())["admin"] if kept.exists() else secrets.token_urlsafe(12)
    places = {"OSTINATO_HOME": home / "ostinato"}
    if SAMPLE.exists():
        places["OSTINATO_FRAUD_DETECTION_SOURCE"] = SAMPLE
    environment = {name: os.environ.get(name) or str(place) for name, place in places.items()}
    users = {"admin": ("admin", password)}
    return Airflow.at(home, dags=dags, plugins=ROOT / "plugins", users=users, port=port, environment=environment)


def _run(airflow: Airflow, *, check: bool) -> int:
    code = 0
    try:
        _start(airflow)
        code = _check(airflow) if check else _watch(airflow)
    except Died as error:
        print(f"\n{error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("\nStopping …", file=sys.stderr)
    finally:
        _turn_deaf()
        forced = airflow.stop()
    if left := airflow.processes():
        print(f"These processes do not end: {sorted(left)}.", file=sys.stderr)
        return 1
    print(f"Airflow has stopped{f'; {len(forced)} processes had to be killed' if forced else ''}.", file=sys.stderr)
    return code


def _interrupt(*_: Any) -> None:
    _turn_deaf()
    raise KeyboardInterrupt


def _turn_deaf() -> None:
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)  # stopping takes seconds, and must not be stopped itself


def _start(airflow: Airflow) -> None:
    version, begun = importlib.metadata.version("apache-airflow"), time.monotonic()
    beginning, end = ("\r", "") if sys.stderr.isatty() else ("", "\n")
    said = -1

    def tell(ready: int) -> None:
        nonlocal said
        if ready != said or end == "":
            said, line = ready, f"Starting Airflow {version}: {ready} of {len(COMPONENTS)} ready"
            print(f"{beginning}{line}, {time.monotonic() - begun:.0f} s", end=end, file=sys.stderr, flush=True)

    tell(0)
    airflow.start()
    airflow.wait_until_healthy(tell=tell)


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
