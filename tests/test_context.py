"""The context: what a running step may know and say."""

from __future__ import annotations

import contextlib
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ostinato import context, secret
from ostinato.context import Context, current, from_environment, running, today
from ostinato.errors import ConfigurationError
from ostinato.workspace import Workspace


def made(**values: Any) -> Context:
    return Context(**{"workspace": Workspace("/w"), "run_id": "r1", "step": "train", **values})


def test_a_key_names_this_piece_of_work_across_retries() -> None:
    """Run, step and map key; not the attempt."""
    assert made().key == made(attempt=3).key == "r1/train"
    assert made(map_key="7").key == "r1/train/7"


def test_every_item_of_a_mapped_step_has_a_folder_of_its_own() -> None:
    """Nothing else writes there."""
    assert made().folder == "/w/runs/r1/train"
    assert made(map_key="7").folder == "/w/runs/r1/train/7"


def test_without_another_day_it_is_today() -> None:
    """Midnight UTC of the day on which the run began."""
    before = datetime.now(UTC)
    day = made().day
    assert day in (today(), today() - timedelta(days=1))  # a test may run over midnight
    assert day <= before < day + timedelta(days=1)
    assert (day.hour, day.minute, day.second, day.microsecond, day.tzinfo) == (0, 0, 0, 0, UTC)


@pytest.mark.parametrize(
    ("as_of", "horizon"),
    [
        (None, datetime(2026, 3, 2, tzinfo=UTC)),
        (datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
        (datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
        (datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
        (datetime(2026, 3, 2, 12, tzinfo=UTC), datetime(2026, 3, 2, 12, tzinfo=UTC)),
        (datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_all_that_has_happened_lies_before_the_horizon(as_of: datetime | None, horizon: datetime) -> None:
    """The end of the day on which the run began, or the moment it stands for where that is later."""
    assert made(day=datetime(2026, 3, 1, tzinfo=UTC), as_of=as_of).horizon == horizon


def test_what_a_step_says_reaches_whoever_listens() -> None:
    """Lines and progress, with the step's name."""
    heard: list[dict[str, Any]] = []
    here = made(map_key="2", emit=heard.append)
    here.log("kept 3 rows")
    here.progress(3, 10)
    here.progress(4)
    assert heard == [
        {"event": "log", "step": "train", "map_key": "2", "message": "kept 3 rows"},
        {"event": "progress", "step": "train", "map_key": "2", "done": 3, "total": 10},
        {"event": "progress", "step": "train", "map_key": "2", "done": 4, "total": None},
    ]


def test_outside_a_run_there_is_a_scratch_context_that_stays() -> None:
    """A REPL session writes to one place, and nobody listens."""
    first = current()
    first.log("nobody hears it")
    assert current() is first
    assert first.run_id.startswith("scratch-")
    assert first.as_of is None


def test_running_makes_a_context_current_and_puts_the_old_one_back() -> None:
    """Also when the body fails."""
    before = current()
    with contextlib.suppress(KeyError), running(made()) as here:
        assert current() is here
        raise KeyError
    assert current() is before


def test_racing_threads_have_contexts_of_their_own() -> None:
    """Steps run side by side in one process do not see each other."""
    seen: dict[str, str] = {}
    meet = threading.Barrier(2)

    def work(name: str) -> None:
        with running(made(step=name)):
            meet.wait()
            seen[name] = current().step

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"a": "a", "b": "b"}


def test_a_secret_comes_from_the_engines_own_store() -> None:
    """Whatever resolver the engine handed in."""
    with running(made(resolve={"token": "s3cret"}.get)):
        assert secret("token") == "s3cret"
        assert context.current().secret("token") == "s3cret"


def test_a_missing_secret_is_asked_for_with_a_sentence() -> None:
    """By name; nothing is guessed."""
    with pytest.raises(
        ConfigurationError, match=r"The secret 'token' is not set. Locally write token=… in the environment"
    ):
        made(resolve=lambda _: None).secret("token")


def test_a_missing_secret_is_asked_for_by_the_names_that_the_engines_allow() -> None:
    """A Prefect block is called in lower case and with dashes."""
    with pytest.raises(ConfigurationError) as error:
        made(resolve=lambda _: None).secret("DEEP_THOUGHT")
    assert str(error.value) == (
        "The secret 'DEEP_THOUGHT' is not set. Locally write DEEP_THOUGHT=… in the environment or in a .env file; "
        "in Airflow keep it as a Variable or Connection of that name; in Prefect as a Secret block called deep-thought."
    )


def test_an_empty_secret_is_a_secret() -> None:
    """Only None is none."""
    assert made(resolve=lambda _: "").secret("token") == ""


def test_a_secret_is_looked_up_in_the_environment_then_in_the_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment wins; without a file there is nothing more to ask."""
    monkeypatch.chdir(tmp_path)
    assert from_environment("BANK_TOKEN") is None
    (tmp_path / ".env").write_text("BANK_TOKEN='from file'\n# OTHER=x\n")
    assert from_environment("BANK_TOKEN") == "from file"
    assert from_environment("OTHER") is None
    monkeypatch.setenv("BANK_TOKEN", "from environment")
    assert from_environment("BANK_TOKEN") == "from environment"
