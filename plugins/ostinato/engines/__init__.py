"""Engines turn a graph into their own native object and schedule it; the step itself always runs the same way."""
