from __future__ import annotations

from pathlib import Path

import pytest

from mechanisms.errors import MissingLibraryError
from private_inference.engine.environment import VARIABLE, engine_python


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path


def python_at(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_missing_engine_is_one_sentence_that_names_the_command():
    with pytest.raises(MissingLibraryError, match="run `make pi-engine`") as caught:
        engine_python()
    assert str(caught.value).startswith("there is no .pi-venv")
    assert "\n" not in str(caught.value)


def test_environment_of_the_current_directory_is_found(elsewhere: Path):
    python = python_at(elsewhere / ".pi-venv" / "bin" / "python")
    assert engine_python() == python


def test_variable_comes_first(elsewhere: Path, monkeypatch: pytest.MonkeyPatch):
    python_at(elsewhere / ".pi-venv" / "bin" / "python")
    named = python_at(elsewhere / "other" / "python")
    monkeypatch.setenv(VARIABLE, str(named))
    assert engine_python() == named


def test_variable_that_names_nothing_is_said_so(elsewhere: Path, monkeypatch: pytest.MonkeyPatch):
    python_at(elsewhere / ".pi-venv" / "bin" / "python")
    monkeypatch.setenv(VARIABLE, str(elsewhere / "gone"))
    with pytest.raises(MissingLibraryError, match=f"{VARIABLE} names no file: run `make pi-engine`"):
        engine_python()
