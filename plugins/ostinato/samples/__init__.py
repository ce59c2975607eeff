"""Invented data to try the pipelines on: the same seed gives the same rows, on any day and machine."""
