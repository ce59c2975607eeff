"""The flow file and `prefect.yaml`, looked at as Prefect would; no server is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ostinato.checks import check_all

ROOT = Path(__file__).parents[1]


def test_prefect_finds_the_flow_and_its_deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flow can be imported, and what is to be deployed is there."""
    pytest.importorskip("prefect", reason="Prefect is not installed here")
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    files = ("_flow.py", "prefect.yaml")
    findings = [found for found in check_all(str(ROOT)) if any(file in found.subject for file in files)]
    assert findings
    assert [f"{found.subject}: {found.message}" for found in findings if not found.ok] == []
