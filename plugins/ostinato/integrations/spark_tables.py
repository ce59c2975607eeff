"""Spark: a table as the DataFrame of the session that runs."""

from __future__ import annotations

from typing import Any

from ostinato.errors import DataError, MissingPackage


def frame(source: str) -> Any:
    """The DataFrame behind a Parquet path or URL, or a table's name.

    Raises:
        MissingPackage: pyspark is not installed.
        DataError: Spark cannot read it.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        raise MissingPackage("pyspark", "spark") from None
    session = SparkSession.builder.appName("ostinato").getOrCreate()
    try:
        return session.read.parquet(source) if "/" in source else session.table(source)
    except PySparkException as error:
        raise DataError(f"Spark cannot read {source}: {str(error).splitlines()[0]}") from error
