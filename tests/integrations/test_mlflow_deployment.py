"""A version is put where it serves whole, checked and tried out, or what was there stays."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from integrations import little_target
from integrations.mlflow_store import client, context, one_thread, put_store, run_python
from integrations.moody_model import Moody
from ostinato.artifacts import Model
from ostinato.context import running
from ostinato.errors import ConfigurationError, ContractError, DataError, ParameterError, PermanentError, Unavailable
from ostinato.integrations import mlflow_connection, mlflow_models, mlflow_registry, mlflow_smoke
from ostinato.integrations.mlflow_deployment import bundles, deploy, deployed, follow, serve_command
from ostinato.workspace import Workspace, local_path


@pytest.fixture(autouse=True)
def store(home: Path) -> Iterator[Path]:
    put_store(home)
    with one_thread():
        yield home


def rows(seed: int = 0, count: int = 40) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame({"risk": random.normal(size=count), "speed": random.normal(size=count)})


def logged(estimator: Any, sample: pd.DataFrame | None, name: str = "fraud") -> Model:
    with running(context("train", run_id=os.urandom(4).hex())):
        model = Model.of(estimator, sample)
        return mlflow_registry.register(model, name, os.urandom(4).hex(), {})


def released(seed: int = 0, name: str = "fraud") -> Model:
    """A registered version that answers after its mood."""
    return logged(Moody().fit(rows(seed), [0, 1] * 20), rows(seed), name)


def folder_of(version: Model) -> Path:
    name, number = version.uri.removeprefix("models:/").rsplit("/", 1)
    return local_path(client().get_model_version_download_uri(name, number))


def place(name: str = "fraud") -> Path:
    return bundles(Workspace.here(), name)


def state(name: str = "fraud") -> dict[str, Any]:
    """All there is below a model's bundles: pointers, and the bytes of files."""
    found: dict[str, Any] = {}
    for path in sorted(place(name).rglob("*")):
        if path.is_symlink():
            found[path.name] = os.readlink(path)
        elif path.is_file():
            found[str(path.relative_to(place(name)))] = path.read_bytes()
    return found


def answers(folder: Path, asked: pd.DataFrame) -> Any:
    return mlflow_connection.import_mlflow().pyfunc.load_model(str(folder)).predict(asked)


def recorded(version: Model) -> dict[str, Any]:
    return dict(json.loads((folder_of(version) / "smoke.json").read_text()))


# --- recorded rows ------------------------------------------------------------------------------------------------


def test_a_logged_model_keeps_rows_of_its_example_and_its_answers_exactly() -> None:
    """Twenty of them, from the lowest score to the highest, features alone; they count for the digest of the files."""
    version = released()
    smoke = recorded(version)
    assert smoke["dataframe_split"]["columns"] == ["risk", "speed"]
    kept = pd.DataFrame(**smoke["dataframe_split"])
    assert (np.array(smoke["answers"]) == Moody().predict_proba(kept)).all()
    assert len(kept) == 20
    assert (kept.risk.iloc[0], kept.risk.iloc[-1]) == (rows().risk.min(), rows().risk.max())
    assert kept.risk.is_monotonic_increasing
    assert "smoke.json" in mlflow_models.digests(folder_of(version))
    assert "tolerance" not in smoke


def test_text_whole_numbers_truth_and_what_is_missing_are_kept_as_they_are() -> None:
    """Whatever a feature is; NaN, None and NaT are null, as they come to a server."""
    table = pd.DataFrame(
        {
            "risk": [0.1, np.nan, np.inf],
            "country": ["AT", None, "Ł"],
            "word": pd.Series(["a", np.nan, ""], dtype=object),
            "count": [1, 2**60, 3],
            "night": [True, False, True],
            "since": pd.to_datetime(["2026-01-01", None, "2026-01-02"]),
        }
    )
    content = json.loads(mlflow_smoke.written(table, np.array([0.1, 1 / 3, 0.9]), "predict"))
    assert content["dataframe_split"]["data"] == [
        [0.1, "AT", "a", 1, True, "2026-01-01 00:00:00"],
        [None, None, None, 2**60, False, None],
        [float("inf"), "Ł", "", 3, True, "2026-01-02 00:00:00"],
    ]
    assert content["answers"] == [0.1, 1 / 3, 0.9]


def test_equal_models_have_equal_files_to_compare() -> None:
    """Nothing in the recorded rows varies from one logging to the next."""
    assert recorded(released()) == recorded(released(name="other"))


@pytest.mark.parametrize("kind", ["words", "numbers", "one row"])
def test_models_that_give_no_probabilities_are_tried_out_too(kind: str) -> None:
    """A class by its name, a number above 1, an example of one row."""
    from sklearn.linear_model import LinearRegression
    from sklearn.svm import LinearSVC

    sample = rows()
    if kind == "words":
        version = logged(LinearSVC().fit(sample, np.where(sample.risk > 0, "fraud", "good")), sample)
        assert set(recorded(version)["answers"]) == {"fraud", "good"}
    elif kind == "numbers":
        version = logged(LinearRegression().fit(sample, sample.risk * 1000), sample)
    else:
        version = logged(Moody().fit(sample, [0, 1] * 20), sample.head(1))
    assert deploy(version)["deployed"]


# --- bundles ------------------------------------------------------------------------------------------------------


def test_a_bundle_is_the_versions_files_and_current_names_it() -> None:
    """`models serve` finds them at one path, whatever the version; the one before is kept under `previous`."""
    first, second = released(1), released(2)
    made = deploy(first)
    assert made == {
        "deployed": True,
        "target": "bundle",
        "name": "fraud",
        "version": "1",
        "place": str(place() / "current"),
        "previous": None,
        "already": False,
    }
    assert os.readlink(place() / "current") == "1"
    assert mlflow_models.digests(place() / "current") == mlflow_models.digests(folder_of(first))
    assert deploy(second)["previous"] == "1"
    assert (os.readlink(place() / "current"), os.readlink(place() / "previous")) == ("2", "1")
    assert mlflow_models.digests(place() / "current") == mlflow_models.digests(folder_of(second))
    asked = rows(3)
    assert (answers(place() / "current", asked) == Moody().predict_proba(asked)).all()
    assert {path.name for path in place().iterdir()} == {".lock", "1", "2", "current", "previous"}


def test_a_bundle_is_moved_with_its_workspace() -> None:
    """Pointers are relative: a folder mounted elsewhere is served as it is."""
    deploy(released())
    elsewhere = place().parents[1].rename(place().parents[2] / "elsewhere")
    assert mlflow_models.digests(elsewhere / "bundles" / "fraud" / "current")


def test_what_is_there_already_stays_there() -> None:
    """Asked again, a deployment says so, and touches nothing."""
    deploy(released(1))
    version = released(2)
    made = deploy(version)
    before, since = state(), os.lstat(place() / "current").st_mtime_ns
    assert deploy(version) == {**made, "already": True}
    assert state() == before
    assert os.lstat(place() / "current").st_mtime_ns == since


def test_a_damaged_bundle_in_place_gives_way_to_a_whole_one() -> None:
    """Under another name, as somebody may be reading; who was deployed before it stays so."""
    deploy(released(1))
    version = released(2)
    deploy(version)
    (place() / "current" / "MLmodel").write_text("nonsense")
    healed = deploy(version)
    assert (healed["version"], healed["previous"], healed["already"]) == ("2", "1", False)
    assert os.readlink(place() / "current") == "2.2"
    assert (place() / "2" / "MLmodel").read_text() == "nonsense"
    assert mlflow_models.digests(place() / "current") == mlflow_models.digests(folder_of(version))
    assert deploy(version)["already"]
    assert deployed("fraud") == {**deployed_facts("2"), "previous": "1"}


def deployed_facts(version: str, name: str = "fraud") -> dict[str, Any]:
    return {"target": "bundle", "name": name, "version": version, "place": str(place(name) / "current")}


def test_a_damaged_bundle_that_was_kept_is_made_anew() -> None:
    """Going back to it would bring back what nobody judged."""
    first = released(1)
    for version in (first, released(2), released(3)):
        deploy(version)
    (place() / "1" / "extra.py").write_text("import os")
    deploy(first)
    assert mlflow_models.digests(place() / "current") == mlflow_models.digests(folder_of(first))
    assert os.readlink(place() / "current") == "1"


def test_a_pointer_to_nowhere_is_set_right() -> None:
    """Somebody removed the bundle by hand: the next deployment does not stumble over it."""
    deploy(released(1))
    shutil.rmtree(place() / "1")
    assert deployed("fraud") is None
    assert deploy(released(2))["previous"] is None
    assert os.readlink(place() / "current") == "2"


def test_pointers_set_by_hand_and_copies_beside_them_are_fine() -> None:
    """An absolute link counts, and a folder somebody put there is neither taken for a bundle nor pruned."""
    for seed in range(3):
        deploy(released(seed))
    (place() / "current").unlink()
    (place() / "current").symlink_to(place() / "1")
    (place() / "3.old").mkdir()
    assert deployed("fraud") == {**deployed_facts("1"), "previous": "2"}
    assert deploy(released(4))["previous"] == "1"
    assert (os.readlink(place() / "current"), os.readlink(place() / "previous")) == ("4", "1")
    assert (place() / "3.old").is_dir()


def test_a_folder_in_the_place_of_a_pointer_is_left_alone() -> None:
    """A copy somebody made is theirs; the message says what to do."""
    version = released()
    shutil.copytree(folder_of(version), place() / "current")
    with pytest.raises(ConfigurationError, match=r"should be a symlink to a version's bundle. Move what is there away"):
        deploy(version)
    assert (place() / "current" / "MLmodel").is_file()


def test_the_oldest_bundles_go_and_those_pointed_to_never_do() -> None:
    """Three beside the current and the previous one, however old these are."""
    versions = [released(seed) for seed in range(8)]
    for version in versions:
        deploy(version)
    assert slots() == {"4", "5", "6", "7", "8"}
    deploy(versions[0])
    deploy(versions[1])
    assert (os.readlink(place() / "current"), os.readlink(place() / "previous")) == ("2", "1")
    assert slots() == {"1", "2", "6", "7", "8"}


def slots() -> set[str]:
    return {path.name for path in place().iterdir() if path.name[0].isdecimal()}


def test_going_back_swaps_the_two() -> None:
    """The previous bundle is still there: nothing is fetched, but it is tried out again."""
    first, second = released(1), released(2)
    deploy(first)
    deploy(second)
    assert deploy(first)["previous"] == "2"
    assert (os.readlink(place() / "current"), os.readlink(place() / "previous")) == ("1", "2")


def test_follow_moves_a_bundle_and_makes_none() -> None:
    """Promotion by hand brings its version into place where the model is deployed at all."""
    first = released(1)
    released(2)
    assert follow("fraud", "2") is None
    assert deployed("fraud") is None
    assert not place().exists()
    deploy(first)
    moved = follow("fraud", "2")
    assert moved is not None
    assert (moved["version"], moved["previous"]) == ("2", "1")
    assert deployed("fraud") == {**deployed_facts("2"), "previous": "1"}


def test_follow_leaves_the_bundle_where_the_version_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A promotion is one thing, serving another."""
    deploy(released(1))
    released(2)
    before = state()
    monkeypatch.setenv("MOOD", "raises")
    with pytest.raises(ContractError):
        follow("fraud", "2")
    assert state() == before


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mood", "told"),
    [
        ("does not load", r"Version 2 of 'fraud' cannot be loaded to serve: ZeroDivisionError: not today\."),
        ("raises", r"fails on the rows recorded with it: ZeroDivisionError: division by a bad mood\."),
        ("differs", r"row 1 of smoke.json should give \[0\.\d+, 0\.\d+\], and gave \[0\.\d+, 0\.\d+\]\."),
        ("nan", r"row 1 of smoke.json should give \[0\.\d+, 0\.\d+\], and gave \[nan, nan\]\."),
        ("no probability", r"row 1 of smoke.json should give"),
        ("one column", r"row 1 of smoke.json should give \[.*\], and gave 0\.\d+\."),
        ("short", r"was asked for 20 rows and answered \[\["),
        ("alone", r"row 1 of smoke.json asked alone should give"),
    ],
)
def test_a_version_that_does_not_answer_as_it_did_leaves_all_as_it_was(
    mood: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tried out as a server would, before anything points to it; the message says what was expected, and what came."""
    deploy(released(1))
    second, before = released(2), state()
    monkeypatch.setenv("MOOD", mood)
    with pytest.raises(PermanentError, match=told):
        deploy(second)
    assert state() == before
    assert deployed("fraud") == {**deployed_facts("1"), "previous": None}


def test_the_last_digits_may_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine adds in another order."""
    version = released()
    monkeypatch.setenv("MOOD", "nearly the same")
    assert deploy(version)["deployed"]


def test_a_model_never_answering_right_is_never_deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chances above 1 and answers that are no number are refused even if they were the same when it was logged."""
    for mood in ("no probability", "nan"):
        monkeypatch.setenv("MOOD", mood)
        version = released(name=mood.split()[0])
        with pytest.raises(ContractError, match=r"row 1 of smoke.json should give"):
            deploy(version)
        assert slots_of(version) == set()


def test_an_answer_without_bounds_is_none() -> None:
    """Infinite is no number to act on, even where it was recorded."""
    smoke = mlflow_smoke.Smoke(["risk"], [[1.0]], [float("inf")], probabilities=False)
    with pytest.raises(ContractError, match=r"row 1 of smoke.json should give inf, and gave inf"):
        mlflow_smoke.compare(smoke, lambda _: [float("inf")], "It")


def slots_of(version: Model) -> set[str]:
    return {path.name for path in place(version.facts["name"]).iterdir()} - {".lock"}


@pytest.mark.parametrize("file", ["model.skops", "smoke.json", "MLmodel", "added.py"])
def test_changed_files_are_not_deployed(file: str) -> None:
    """Recorded answers that were adapted to a changed model are changed files too."""
    deploy(released(1))
    second, before = released(2), state()
    path = folder_of(second) / file
    path.write_bytes(path.read_bytes() + b" " if path.exists() else b"import os")
    with pytest.raises(DataError, match=r"The files of models:/fraud/2 are not those that were logged"):
        deploy(second)
    assert state() == before


def test_records_that_disagree_about_the_files_deploy_none_of_them() -> None:
    """The tag of a version can be changed by hand, and so can the reference be another's."""
    first, second = released(1), released(2)
    borrowed = Model(second.uri, second.digest, {**second.facts, "files": first.facts["files"]})
    with pytest.raises(DataError, match=r"not certain which files models:/fraud/2 has.*its tag says.*the reference"):
        deploy(borrowed)
    client().set_model_version_tag("fraud", "2", "ostinato.files", first.facts["files"])
    with pytest.raises(DataError, match="not certain which files"):
        deploy(second)
    client().delete_model_version_tag("fraud", "2", "ostinato.files")
    with pytest.raises(DataError, match="no digest of its files on record"):
        deploy(Model(second.uri, second.digest))
    assert deployed("fraud") is None


def test_only_a_registered_version_is_deployed() -> None:
    """Not a logged model, not an alias, and none that does not exist."""
    with running(context()):
        model = Model.of(Moody().fit(rows(), [0, 1] * 20), rows())
    for uri in (model.uri, "models:/fraud@champion", "models:/fraud/latest", "models:/7", "models:/fraud/"):
        with pytest.raises(ContractError, match="Only a registered version is deployed"):
            deploy(Model(uri, model.digest, model.facts))
    with pytest.raises(DataError, match="models:/fraud/7 is not in the model store"):
        deploy(Model("models:/fraud/7", model.digest, model.facts))


def test_a_model_logged_without_an_example_is_not_deployed() -> None:
    """There is nothing to try it with, and that is no pass."""
    version = logged(Moody().fit(rows(), [0, 1] * 20), None)
    with pytest.raises(ContractError, match="has no recorded rows to try it with before it serves: log it with an"):
        deploy(version)


def test_a_store_that_is_away_leaves_the_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """To be tried again."""
    deploy(released(1))
    second, before = released(2), state()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(Unavailable):
        deploy(second)
    assert state() == before


# --- names and places ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [".fraud", ".lock", "a b", "~root", "$(date)", "Ł" * 100, "a\nb", "=2E", "current", "-m"]
)
def test_odd_names_are_deployed_in_folders_of_their_own(name: str) -> None:
    """Nothing leaves the folder of bundles, whatever a model is called, and MLflow finds it there."""
    version = released(name=name)
    deploy(version)
    assert place(name).parent == place().parent
    assert [path.name for path in place().parent.iterdir()] == [place(name).name]
    asked = rows(3)
    assert (answers(place(name) / "current", asked) == Moody().predict_proba(asked)).all()


@given(st.text(min_size=1), st.text(min_size=1))
@example("../../etc", "%2e%2e")
@example("a/b", "a=2Fb")
@example("." * 300, "." * 301)
def test_no_two_names_share_a_folder(one: str, other: str) -> None:
    """And none is hidden, leads elsewhere or is longer than a file system takes."""
    workspace = Workspace("/w")
    for name in (one, other):
        folder = bundles(workspace, name)
        assert folder.parent == Path("/w/bundles")
        assert not folder.name.startswith(".")
        assert 0 < len(folder.name.encode()) < 200
    assert (bundles(workspace, one) == bundles(workspace, other)) == (one == other)


def test_a_bundle_is_served_from_a_workspace_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But where MLflow would read a code into it; the command can be pasted into a shell."""
    odd = tmp_path / "100% #1?"
    monkeypatch.setenv("OSTINATO_HOME", str(odd))
    put_store(odd)
    made = deploy(released())
    assert serve_command(made["place"]) == f"mlflow models serve -m '{made['place']}' --env-manager local"
    coded = tmp_path / "100%25"
    monkeypatch.setenv("OSTINATO_HOME", str(coded))
    put_store(coded)
    with running(context("deploy")), pytest.raises(ConfigurationError, match="MLflow takes percent signs of a path"):
        deploy(released())


def test_a_remote_workspace_has_no_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server reads a folder, and pointers are symlinks."""
    monkeypatch.setenv("OSTINATO_HOME", "memory://bucket/home")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite://")
    with (
        running(context("deploy")),
        pytest.raises(ConfigurationError, match="the workspace memory://bucket/home is re"),
    ):
        deploy(Model("models:/fraud/1", ""))
    with running(context("deploy")):
        assert deployed("fraud") is None
        assert follow("fraud", "1") is None


def test_a_bundle_has_no_options() -> None:
    """They would be lost silently."""
    with pytest.raises(ParameterError, match="A bundle has no options: not 'region'"):
        deploy(Model("models:/fraud/1", ""), options={"region": "eu"})


# --- together and killed ------------------------------------------------------------------------------------------


def several(count: int) -> dict[str, dict[str, str]]:
    """Registered versions by number, and what a whole bundle of each has."""
    return {str(number): hashes(folder_of(released(number))) for number in range(1, count + 1)}


def hashes(folder: Path) -> dict[str, str]:
    return mlflow_models.digests(folder)


READER = """
import hashlib, json, os, time
from pathlib import Path
folder, wanted = Path({folder!r}), {wanted!r}
looked, seen, wrong = 0, set(), []
while not Path({stop!r}).exists():
    looked += 1
    time.sleep(0.001)  # leave the processor to those who deploy
    try:
        whole = os.path.realpath(folder / "current")
        found = {{each: hashlib.sha256(Path(whole, each).read_bytes()).hexdigest() for each in os.listdir(whole)}}
    except OSError as error:
        wrong.append(repr(error))
    else:
        seen.add(os.path.basename(whole))
        if found != wanted[os.path.basename(whole)]:
            wrong.append(whole)
print(json.dumps([looked, sorted(seen), wrong]))
"""

DEPLOYER = """
from integrations.mlflow_store import context
from ostinato.artifacts import Model
from ostinato.context import running
from ostinato.integrations.mlflow_deployment import deploy
for version in {versions!r}:
    with running(context("deploy")):
        deploy(Model("models:/fraud/" + version, ""))
"""


@pytest.mark.slow
def test_racing_deployers_and_a_reader_who_never_sees_half_a_bundle(tmp_path: Path) -> None:
    """Three processes deploy one version after the other; who reads `current` all the time always finds one whole."""
    wanted = several(4)
    deploy(Model("models:/fraud/1", ""))
    known = {"folder": str(place()), "wanted": wanted, "stop": str(tmp_path / "stop")}
    reader = run_python(READER.format(**known), wait=False)
    orders = [list("2341" * 2), list("3142" * 2), list("4213" * 2)]
    racing = [run_python(DEPLOYER.format(versions=order), wait=False) for order in orders]
    for each in racing:
        _, said = each.communicate(timeout=300)
        assert each.returncode == 0, said
    (tmp_path / "stop").touch()
    looked, seen, wrong = json.loads(reader.communicate(timeout=60)[0])
    assert wrong == []
    assert looked > 100
    assert seen == ["1", "2", "3", "4"]
    assert hashes(place() / "current") == wanted[os.readlink(place() / "current")]
    assert hashes(place() / "previous") == wanted[os.readlink(place() / "previous")]
    assert {path.name for path in place().iterdir()} == {".lock", "current", "previous", *wanted}


def test_racing_threads_take_turns() -> None:
    """Steps run side by side in one process too."""
    wanted = several(3)
    failed: list[BaseException] = []

    def put(number: str) -> None:
        try:
            with running(context("deploy")):
                deploy(Model(f"models:/fraud/{number}", ""))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=put, args=(number,)) for number in wanted]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failed == []
    assert slots() == set(wanted)
    assert hashes(place() / "current") == wanted[os.readlink(place() / "current")]


KILLED = """
import json, os, random, shutil, signal, time, traceback
from pathlib import Path
from integrations import moody_model
from integrations.mlflow_store import client, context, put_store
from ostinato.artifacts import Model
from ostinato.context import running
from ostinato.integrations import mlflow_deployment, mlflow_models, mlflow_smoke

# What every process does once is done before they part; no database of theirs is opened.
put_store(Path({warm!r}))
home, os.environ["OSTINATO_HOME"] = os.environ["OSTINATO_HOME"], {warm!r}
client().search_registered_models()
os.environ["OSTINATO_HOME"] = home
mlflow_models._skops()
mlflow_smoke._server()
folder = Path({folder!r})

def dying_at(number):
    # Die by SIGKILL after the n-th thing done to a file of a bundle.
    left = [number]
    def around(act):
        def acting(*arguments, **options):
            done = act(*arguments, **options)
            left[0] -= "bundles" in str(arguments) or options.get("dir_fd") is not None
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return done
        return acting
    for name in ("replace", "symlink", "unlink", "rmdir", "mkdir"):
        setattr(os, name, around(getattr(os, name)))
    mlflow_models._copied = around(mlflow_models._copied)

def child(version, number=0):
    if pid := os.fork():
        return pid
    try:
        if number:
            dying_at(number)
        with running(context("deploy")):
            mlflow_deployment.deploy(Model("models:/fraud/" + version, ""))
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(3)

def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def now():
    digests = [mlflow_models.digest_of_files(folder / name)[0] for name in ("current", "previous")]
    return [os.path.basename(os.path.realpath(folder / "current")), digests]

def another():
    # One that has to be fetched.
    return next(version for version in versions if not (folder / version).exists())

versions = {versions!r}
began = time.monotonic()
codes, found = [ended(child("1")), ended(child("2"))], []
took = (time.monotonic() - began) / 2
turn = 0
{kills}
codes.append(ended(child("1")))
print(json.dumps([codes, found, now()]))
"""

AT_RANDOM = """
for _ in range(20):
    turn += 1
    pid = child(another())
    time.sleep(random.uniform(0, took))
    os.kill(pid, signal.SIGKILL)
    codes.append(ended(pid))
    found.append(now())
"""

AT_EACH = """
while -9 in codes[-4::2] or turn == 0:
    turn += 1
    version, before = another(), now()[0]
    codes.append(ended(child(version, turn)))
    found.append(now())
    codes.append(ended(child(version)))
    assert [now()[0], os.path.basename(os.path.realpath(folder / "previous"))] == [version, before], turn
"""


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "fewest"), [(AT_RANDOM, 5), (AT_EACH, 20)])
def test_kill_a_deployer_at_any_moment_and_the_pointer_names_a_whole_bundle(
    kills: str, fewest: int, tmp_path: Path
) -> None:
    """At twenty random moments, and after each thing it does to a file; run again it does what it would have done."""
    wanted = several(7)
    digests = {number: _digest(number) for number in wanted}
    warm = str(tmp_path / "warm")
    code = KILLED.format(folder=str(place()), versions=list(wanted), kills=kills, warm=warm)
    told, said = run_python(code, wait=False).communicate(timeout=500)
    assert told, said
    codes, found, last = json.loads(told)
    assert set(codes) <= {0, -9}, said
    assert codes.count(-9) >= fewest
    for slot, (now, before) in [*found, last]:
        assert now == digests[slot.split(".")[0]]
        assert before in digests.values()
    assert last[0] == "1"
    left = {path.name for path in place().iterdir()}
    assert left == {".lock", "current", "previous", *slots()}
    assert len(slots()) <= 5
    for slot in slots():
        assert hashes(place() / slot) == wanted[slot]


def _digest(number: str) -> str:
    return str(client().get_model_version("fraud", number).tags["ostinato.files"])


# --- other targets ------------------------------------------------------------------------------------------------


Serving = dict[str, little_target.Serving]


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    with little_target.installed(tmp_path / "site", monkeypatch) as serving:
        yield serving


def asked(serving: Serving, name: str = "fraud") -> Any:
    return serving[name].ask(rows(3))["predictions"]


def kept() -> Any:
    return client().get_registered_model("fraud").tags.get("ostinato.deployed.little:/here")


def test_a_target_serves_the_version_and_then_the_next(target: Serving) -> None:
    """A plugin of `mlflow.deployments` makes a deployment called as the model, and updates it."""
    made = deploy(released(1), "little:/here")
    assert made == {
        "deployed": True,
        "target": "little:/here",
        "name": "fraud",
        "version": "1",
        "place": "little:/here fraud",
        "previous": None,
        "already": False,
    }
    assert np.allclose(asked(target), Moody().predict_proba(rows(3)), rtol=1e-12)
    again = deploy(released(2), "little:/here")
    assert (again["version"], again["previous"], again["already"]) == ("2", "1", False)
    assert target["fraud"].model_uri == "models:/fraud/2"
    assert deployed("fraud") is None


def test_a_target_that_serves_it_already_is_only_asked(target: Serving) -> None:
    """One that has lost it gets it again."""
    version = released(1)
    first = deploy(version, "little:/here")
    server = target["fraud"]
    assert deploy(version, "little:/here") == {**first, "already": True}
    assert target["fraud"] is server
    target.pop("fraud").stop()
    assert deploy(version, "little:/here")["already"] is False
    assert target["fraud"].model_uri == "models:/fraud/1"


def test_a_target_that_answers_differently_gets_the_version_before_back(target: Serving) -> None:
    """What it serves is asked for the recorded rows; the message says which row, and what became of it."""
    deploy(released(1), "little:/here")
    second, before = released(2), kept()
    told = (
        r"Version 2 of 'fraud' at little:/here does not answer as it did when it was logged: row 1 of smoke.json "
        r"should give \[.*\], and gave \[.*\]. Version 1 was put back."
    )
    with pytest.raises(ContractError, match=told):
        deploy(second, "little:/here", {"digits": {"models:/fraud/2": 2}})
    assert target["fraud"].model_uri == "models:/fraud/1"
    assert kept() == before
    assert deploy(second, "little:/here")["previous"] == "1"


def test_a_first_deployment_that_fails_is_deleted(target: Serving) -> None:
    """There is nothing to put back."""
    with pytest.raises(ContractError, match="It was deleted again"):
        deploy(released(1), "little:/here", {"digits": {"models:/fraud/1": 2}})
    assert target == {}
    assert kept() is None


def test_a_target_that_refuses_or_is_away_says_so(target: Serving) -> None:
    """What is away may be tried again; the version before serves on."""
    deploy(released(1), "little:/here")
    second = released(2)
    with pytest.raises(
        Unavailable, match=r"little:/here does not answer \(the target is away\). Version 1 was put back"
    ):
        deploy(second, "little:/here", {"refuse": {"models:/fraud/2": "away"}})
    with pytest.raises(ContractError, match=r"could not do it \(MlflowException: the target is full\)"):
        deploy(second, "little:/here", {"refuse": {"models:/fraud/2": "full"}})
    assert target["fraud"].model_uri == "models:/fraud/1"
    with pytest.raises(ContractError, match=r"And version 1 could not be put back .*: look after it by hand"):
        deploy(second, "little:/here", {"refuse": {"models:/fraud/2": "full", "models:/fraud/1": "full"}})


def test_a_version_that_fails_here_never_reaches_the_target(target: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried out beforehand; so are its files checked."""
    version = released(1)
    monkeypatch.setenv("MOOD", "differs")
    with pytest.raises(ContractError, match="Version 1 of 'fraud' does not answer as it did"):
        deploy(version, "little:/here")
    monkeypatch.delenv("MOOD")
    (folder_of(version) / "smoke.json").write_text("{}")
    with pytest.raises(DataError, match="are not those that were logged"):
        deploy(version, "little:/here")
    assert target == {}


def test_a_deployment_of_somebody_else_is_left_alone(target: Serving) -> None:
    """Nobody could put back what it serves."""
    version = released(1)
    target["fraud"] = theirs = little_target.Serving(str(folder_of(version)), None)
    with pytest.raises(ConfigurationError, match="little:/here has a deployment 'fraud' that was not made here"):
        deploy(version, "little:/here")
    assert target["fraud"] is theirs


@pytest.mark.slow
def test_a_deployment_killed_under_way_is_finished_by_the_next(target: Serving) -> None:
    """What was being tried is on record, and so is what served before: that is what a failure goes back to."""
    deploy(released(1), "little:/here")
    second, third = released(2), released(3)
    done = run_python(
        f"""
import os, signal
from integrations import little_target
from integrations.mlflow_store import context
from mlflow.deployments.interface import plugin_store
from ostinato.artifacts import Model
from ostinato.context import running
from ostinato.integrations.mlflow_deployment import deploy

class Dying(little_target.Serving):
    def ask(self, inputs):
        os.kill(os.getpid(), signal.SIGKILL)

plugin_store.register("little", "integrations.little_target")
little_target.SERVING["fraud"] = little_target.Serving({str(folder_of(second))!r}, None)
little_target.Serving = Dying
with running(context("deploy")):
    deploy(Model.from_json({second.to_json()!r}), "little:/here")
"""
    )
    assert done.returncode == -9, done.stderr
    assert json.loads(kept()) == {"version": "1", "previous": None, "trying": "2"}
    with pytest.raises(ContractError, match="Version 1 was put back"):
        deploy(third, "little:/here", {"digits": {"models:/fraud/3": 2}})
    assert json.loads(kept()) == {"version": "1", "previous": None}
    assert deploy(second, "little:/here")["previous"] == "1"


def test_an_unknown_target_is_named_with_those_there_are(target: Serving) -> None:
    """Plugins of `mlflow.deployments` among them; servers of language models take none of ours."""
    version = released(1)
    told = r"no deployment target 'litle:/here' here. Did you mean 'little'\? Valid: 'bundle', 'little', 'sagemaker'"
    with pytest.raises(ParameterError, match=told):
        deploy(version, "litle:/here")
    with pytest.raises(ParameterError, match="no deployment target '' here"):
        deploy(version, "")
    with pytest.raises(ParameterError, match=r"http://127.0.0.1:9 takes no models. Valid: 'bundle', 'little'"):
        deploy(version, "http://127.0.0.1:9")


def test_a_target_finds_the_workspaces_store_and_mlflow_its_own_again(
    target: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plugins look models up at MLflow's global address: for their time it is ours, and then what it was."""
    mlflow = mlflow_connection.import_mlflow()
    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    deploy(released(1), "little:/here")
    assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == before
    assert not {"MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"} & os.environ.keys()
    mlflow.set_tracking_uri("sqlite:///elsewhere.db")
    del os.environ["MLFLOW_TRACKING_URI"]  # which MLflow has set; monkeypatch would bring it back for all later tests
    try:
        deploy(released(2), "little:/here")
        assert mlflow.get_tracking_uri() == "sqlite:///elsewhere.db"
        assert mlflow.get_registry_uri() == "sqlite:///elsewhere.db"
    finally:
        mlflow.set_tracking_uri(None)
    assert not (tmp_path / "elsewhere.db").exists()
