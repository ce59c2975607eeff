"""Runs that could not begin, died or say nothing any more are closed and told of; see `prefect.yaml`."""

from ostinato.engines.prefect_watch import watch as watch
