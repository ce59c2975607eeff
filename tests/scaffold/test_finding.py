"""Where templates are found: ready-made, in a folder, in an installed package."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ostinato import __version__
from ostinato.errors import UsageError
from ostinato.scaffold.finding import Template, built_in, described, find_template
from ostinato.scaffold.rendering import render
from scaffold.little_template import installed, template

READY_MADE = ["blank", "bring_your_model", "fraud_detection", "recommendation_retraining"]


def test_the_ready_made_templates_are_found_by_name() -> None:
    """Each is of this version, and has a line that says what it is."""
    assert built_in() == READY_MADE
    assert {name: find_template(name).version for name in READY_MADE} == dict.fromkeys(READY_MADE, __version__)
    assert all(line.endswith(".") for line in described().values())


def test_a_folder_is_a_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By any path to it; a ready-made one of the same name needs `./` to be told apart."""
    place = template(tmp_path / "blank", {"a": ""})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (str(place), "./blank", f".{os.sep}blank{os.sep}", "~/blank", f"../{tmp_path.name}/blank"):
        assert find_template(path) == Template(path, place)
    assert find_template("blank").version == __version__
    (place / "copier.yml").rename(place / "copier.yaml")
    assert find_template("./blank").folder == place


@pytest.mark.parametrize("name", ["fraud", "frud_detection", "Fraud-Detection", "shared", "questions.yml"])
def test_an_unknown_template_gives_the_nearest(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And all there are; what the ready-made ones share is none."""
    monkeypatch.chdir(tmp_path)
    near = r"Did you mean 'fraud_detection'\? " if "ra" in name.lower() or "ru" in name else ""
    with pytest.raises(UsageError, match=rf"no template '{name}'\. {near}.*'blank', 'bring_your_model'"):
        find_template(name)


@pytest.mark.parametrize("name", ["../..", "../../etc", "/", "blank/..", ".", ""])
def test_a_path_that_leads_to_no_template_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is never looked for above the ready-made ones."""
    (tmp_path / "blank").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"is no template: .* copier\.yml|There is no folder"):
        find_template(name)


@pytest.mark.parametrize("name", ["https://example.com/t.git", "git@example.com:a/t", "gh:a/t", "ssh://x/y"])
def test_a_template_elsewhere_is_to_be_fetched_first(name: str) -> None:
    """Nothing is fetched from a network, and nothing that is fetched is run."""
    with pytest.raises(UsageError, match="is somewhere else: git clone it"):
        find_template(name)


def test_a_package_brings_its_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an entry point, of its own version; the package's own file is not the project's."""
    folder = installed(tmp_path, monkeypatch)
    found = find_template("churn")
    assert found == Template("churn", folder, "2.1")
    assert described()["churn"] == "from team_templates.churn"
    assert render(found, {"name": "mine"}).files == {"mine/__init__.py": b'"""The package of mine, 2.1."""\n'}


def test_a_package_cannot_take_the_name_of_a_ready_made_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever installs it would get another template by the same command."""
    installed(tmp_path, monkeypatch, name="blank")
    assert find_template("blank").version == __version__


@pytest.mark.parametrize("value", ["nowhere.at.all", "team_templates.chrun", "team_templates", "os"])
def test_a_package_without_its_template_is_told(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not installed as it says, or nothing that could be a template."""
    installed(tmp_path, monkeypatch, value)
    with pytest.raises(UsageError, match=rf"'churn' is said to be the package '{value}'"):
        find_template("churn")
