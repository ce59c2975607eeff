"""The ready-made pipelines, typed and importable."""
