"""Interactions up to yesterday, for runs that stand for today."""

from __future__ import annotations

from pathlib import Path

import duckdb

from ostinato.samples.interactions import write

CANDIDATES = ["ease", "als", "item_knn", "popularity"]


def write_fresh(place: Path, rows: int = 20_000) -> Path:
    """The sample, moved by whole days so that its last day is yesterday; returns the Parquet file."""
    write(place.with_name("made.parquet"), rows=rows, days=60)
    until = f"(SELECT max(ts)::DATE FROM '{place.with_name('made.parquet')}')"
    moved = f"ts + (current_date - 1 - {until}) * INTERVAL 1 DAY"
    duckdb.sql(f"COPY (SELECT * REPLACE ({moved} AS ts) FROM '{place.with_name('made.parquet')}') TO '{place}'")
    return place
