"""`privacy-audit stream`: one release a line, goes on where it stood, says what is wrong without the value."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from tests.cli.running import Done, run_cli


def streamed(monkeypatch: pytest.MonkeyPatch, text: str, *arguments: str) -> Done:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8"))
    return run_cli("stream", *arguments)


def test_releases_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arguments = (str(tmp_path / "state.json"), "--horizon", "10", "--rho", "1e9")
    assert streamed(monkeypatch, "1\n0\n1\n", *arguments) == Done(0, "1\n1\n2\n", "")
    done = streamed(monkeypatch, "1\n1\n", *arguments)
    assert (done.exit_code, done.stdout) == (0, "3\n4\n")
    assert "step 3" in done.stderr


def test_lines_that_were_taken_give_their_stored_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arguments = (str(tmp_path / "state.json"), "--horizon", "10", "--rho", "0.5")
    first = streamed(monkeypatch, "1\n0\n1\n", *arguments)
    again = streamed(monkeypatch, "1\n0\n1\n1\n", *arguments, "--from-step", "1")
    assert again.stdout.startswith(first.stdout)
    assert len(again.stdout.splitlines()) == 4
    other = streamed(monkeypatch, "0\n", *arguments, "--from-step", "1")
    assert (other.exit_code, other.stdout) == (2, "")
    assert "another input" in other.stderr


def test_several_numbers_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arguments = (str(tmp_path / "state.json"), "--horizon", "10", "--rho", "1e12", "--dim", "2", "--real", "--bound", "0.5")
    done = streamed(monkeypatch, "0.5 -0.25\n0.5, 0.25\n", *arguments, "--neighboring", "replace")
    assert [[round(float(word), 2) for word in line.split()] for line in done.stdout.splitlines()] == [[0.5, -0.25], [1.0, 0.0]]


@pytest.mark.parametrize("line", ["s3cret", "1 1", "", "31337", "nan", "0.5"])
def test_bad_line_leaves_with_2_and_without_the_value(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arguments = (str(tmp_path / "state.json"), "--horizon", "10", "--rho", "1e9")
    done = streamed(monkeypatch, f"1\n{line}\n1\n", *arguments)
    assert (done.exit_code, done.stdout) == (2, "1\n")
    assert len(done.stderr.splitlines()) == 1
    assert not any(secret in done.stderr for secret in ("s3cret", "31337"))
    assert streamed(monkeypatch, "1\n", *arguments).stdout == "2\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--horizon", "10"), "either rho or epsilon"),
        (("--horizon", "0", "--rho", "1"), "horizon must be"),
        (("--horizon", "10", "--rho", "1", "--neighboring", "add_remove"), "neighboring must be one of"),
        (("--epsilon", "1"), "needs a horizon"),
    ],
)
def test_bad_options(arguments: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    done = streamed(monkeypatch, "1\n", str(tmp_path / "state.json"), *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_horizon_is_kept_over_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arguments = (str(tmp_path / "state.json"), "--horizon", "2", "--epsilon", "1")
    assert streamed(monkeypatch, "1\n1\n", *arguments).exit_code == 0
    done = streamed(monkeypatch, "1\n", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "start a new counter" in done.stderr
