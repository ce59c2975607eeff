"""The command that writes samples: it knows them all, and shows how far it is where somebody looks on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ostinato.catalog import BUILT_IN
from terminal import COMMAND, at_a_terminal

SAMPLE = ("data", "sample")


def test_the_help_lists_every_sample_a_third_partys_too(tmp_path: Path) -> None:
    """Whoever installs a package with a sample finds it where the built-in ones are."""
    metadata = tmp_path / "shop-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[ostinato.samples]\nbaskets = shop:write\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    said = subprocess.run(
        [*COMMAND, *SAMPLE, "--help"], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert ", ".join(sorted([*BUILT_IN["samples"], "baskets"])) in said
    assert {"interactions", "transactions"} <= set(BUILT_IN["samples"])


def test_interactions_are_written_and_described(tmp_path: Path) -> None:
    """Every option has its effect, and the sentence goes to people, not to the pipe."""
    options = "--rows 3000 --seed 3 --days 60 --drift --broken 0.01".split()
    made = subprocess.run(
        [*COMMAND, *SAMPLE, "interactions", "-o", str(tmp_path / "seen"), *options],
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout == ""
    assert made.stderr.startswith("3,000 interactions of ")
    assert "to 01 March 2026 in" in made.stderr
    assert "30 of them broken on purpose" in made.stderr
    assert "writing" not in made.stderr


def test_a_terminal_sees_how_far_a_large_sample_is(tmp_path: Path) -> None:
    """A million rows take seconds; a few do not need a bar."""
    few = at_a_terminal(*SAMPLE, "interactions", "-o", str(tmp_path / "few"), "--rows", "2000")
    many = at_a_terminal(*SAMPLE, "interactions", "-o", str(tmp_path / "many"), "--rows", "1000000")
    assert (few.code, many.code) == (0, 0)
    assert "writing" not in few.said
    assert "writing" in many.said
    assert "100%" in many.said
    assert "1,000,000 interactions of " in many.said
