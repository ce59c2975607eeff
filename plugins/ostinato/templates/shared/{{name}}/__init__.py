"""The pipeline of this project."""
