"""Every user's best items as a table: the lists that a site or a mailing reads."""

from __future__ import annotations

import shutil
import time as clock
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.artifacts import Model, digest_of
from ostinato.context import current
from ostinato.errors import ContractError, ParameterError
from ostinato.graph import step
from ostinato.recommenders.histories import histories, ids_of
from ostinato.tables import Dataset, duck, literal, parquet_sql
from ostinato.workspace import is_remote, local_path, whole

if TYPE_CHECKING:
    from ostinato.recommenders.ids import Ids
    from ostinato.recommenders.recommender import Recommender

USERS_AT_ONCE = 8192
_KEPT_DAYS = 7  # what a run that was killed has written, for its resumption


@step(retries=2, effect="idempotent")
def recommend(
    model: Model, data: Dataset, *, k: int = 10, exclude_seen: bool = True, output: str | None = None
) -> Dataset:
    """Write the k best items of every user in a table of interactions, by one version of a recommender.

    The file is `<output>/window=<the moment the run stands for>/recommendations.parquet` with the columns `user`,
    `rank` (from 1), `item`, `score` and `version`. It appears whole or not at all, and takes the place of what was
    there: a window is never there twice. Who took nothing that the model knows gets what is most popular, scored 0.
    Run again after a crash it goes on where it was.

    Args:
        model: as `register` returned it: one version, however long this takes and whoever is promoted meanwhile.
        data: interactions, as `interactions` writes them, the latest included.
        k: how many items a user gets, at most.
        exclude_seen: whether what a user took is not recommended again.
        output: a folder or fsspec URL; `recommendations/<name>` in the workspace by default.

    Raises:
        ContractError: the model is no recommender.
        ParameterError: k is below 1, or the run stands for no moment.
    """
    from ostinato.recommenders.recommender import Recommender

    context = current()
    if k < 1:
        raise ParameterError(f"k={k} must be 1 or more.")
    if context.as_of is None:
        raise ParameterError('recommend must know the moment that the run stands for. Write "--as-of DATE".')
    recommender = model.load()
    if not isinstance(recommender, Recommender):
        raise ContractError(f"{model.uri} is a {type(recommender).__name__}, no recommender.")
    name = str(model.facts.get("name") or context.pipeline or "model")
    folder = _folder(output) if output else f"{context.workspace.home}/recommendations/{name}"
    place = f"{folder.rstrip('/')}/window={_window(context.as_of)}/recommendations.parquet"
    version = str(model.facts.get("version") or model.uri)
    work = _work(digest_of([model.digest, version, data.digest, k, exclude_seen]))
    with duck() as connection:
        table = data.sql(connection)
        users = ids_of(connection, table, "user")
        taken = histories(connection, table, users, recommender.items)
        parts = _parts(recommender, users, taken, work, k, exclude_seen)
        listed = ", ".join(["user", "rank", "item", "score", f"{literal(version)} AS version"])
        made = parquet_sql(connection, parts, partitions=False)  # a workspace may lie in a folder called user=me
        found = Dataset.save(connection, f"SELECT {listed} FROM {made}", place=place)
    shutil.rmtree(work, ignore_errors=True)
    context.log(f"{found.rows:,} recommendations for {len(users):,} users by version {version} are in {found.uri}")
    return found


def _folder(output: str) -> str:
    """Where to write: a URL as it is, or an absolute path."""
    return output if is_remote(output) else str(local_path(output).absolute())


def _window(as_of: datetime) -> str:
    """A moment as a folder's name; the time of day only where there is one."""
    return f"{as_of:%Y-%m-%d}" if (as_of.hour, as_of.minute) == (0, 0) else f"{as_of:%Y-%m-%dT%H%M}"


def _work(digest: str) -> Path:
    """Where the parts of this very piece of work lie until all are there; others' are removed when they are old."""
    scratch = current().workspace.scratch()
    for left in scratch.glob("recommending-*"):
        if clock.time() - left.stat().st_mtime > _KEPT_DAYS * 86_400:
            shutil.rmtree(left, ignore_errors=True)
    folder = scratch / f"recommending-{digest.removeprefix('sha256:')[:32]}"
    folder.mkdir(exist_ok=True)
    return folder


def _parts(recommender: Recommender, users: Ids, taken: Any, work: Path, k: int, exclude_seen: bool) -> list[str]:
    """The lists of some users after the others, each part a file; those that are there already are taken."""
    import pyarrow.parquet as pq

    places, parts, done = recommender.users.places(users.values), [], 0
    for start in range(0, len(users), USERS_AT_ONCE):
        part, chosen = work / f"part-{start // USERS_AT_ONCE:05}.parquet", slice(start, start + USERS_AT_ONCE)
        if part.exists():
            done += 1
        else:
            top = recommender.top(taken[chosen], k, users=places[chosen], exclude_seen=exclude_seen)
            with whole(str(part)) as file:
                pq.write_table(_table(recommender, users, start, top), file)
        parts.append(str(part))
        current().progress(min(start + USERS_AT_ONCE, len(users)), len(users))
    if done:
        current().log(f"{done:,} of {len(parts):,} parts were there already")
    return parts


def _table(recommender: Recommender, users: Ids, start: int, top: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    row, rank = np.nonzero(top.items >= 0)
    return pa.table(
        {
            "user": users.at((row + start).astype(np.int32)),
            "rank": pa.array((rank + 1).astype(np.int32)),
            "item": recommender.items.at(top.items[row, rank]),
            "score": pa.array(top.scores[row, rank]),
        }
    )
