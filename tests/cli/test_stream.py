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


EXACT = ("--horizon", "10", "--rho", "1e9", "--neighboring", "zero_out")


@pytest.mark.parametrize(
    ("statistic", "options", "first", "second"),
    [
        ("max_sum", ("--dim", "3", "--mechanism", "per_coordinate"), ("1 0 1\n0,0,1\n", "1.0\n2.0\n"), ("1 1 1\n", "3.0\n")),
        ("max_sum", ("--dim", "1", "--clip", "--mechanism", "recompute"), ("7\n-1\n", "1.0\n1.0\n"), ("1\n", "2.0\n")),
        ("sum_select", ("--dim", "3", "--mechanism", "per_coordinate"), ("0 0 1\n0 1 1\n", "2\n2\n"), ("0 1 0\n0 1 0\n", "1\n1\n")),
        ("histogram", ("--dim", "3"), ("2\n2\n-1\n", "0 0 1\n0 0 2\n0 0 2\n"), ("0\n", "1 0 2\n")),
    ],
)
def test_other_statistics_release_and_resume(
    statistic: str,
    options: tuple[str, ...],
    first: tuple[str, str],
    second: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """At rho = 1e9 noise is 1e-3 and less: rounded away. Of equal counts the first is told."""
    arguments = (str(tmp_path / "state.json"), "--statistic", statistic, *EXACT, *options)
    done = streamed(monkeypatch, first[0], *arguments)
    assert (done.exit_code, done.stdout, done.stderr) == (0, first[1], "")
    again = streamed(monkeypatch, second[0], *arguments)
    assert (again.exit_code, again.stdout) == (0, second[1])
    assert "the first line is taken as step" in again.stderr
    stored = streamed(monkeypatch, first[0] + second[0], *arguments, "--from-step", "1")
    assert stored.stdout == first[1] + second[1]


@pytest.mark.parametrize("statistic", ["max_sum", "sum_select", "histogram"])
@pytest.mark.parametrize("line", ["s3cret", "1 1 1 1", "", "31337", "nan", "0.5 0 0", "2 0 31337"])
def test_bad_line_of_other_statistics(statistic: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arguments = (str(tmp_path / "state.json"), "--statistic", statistic, "--dim", "3", *EXACT)
    good = "1\n" if statistic == "histogram" else "1 0 0\n"
    done = streamed(monkeypatch, f"{good}{line}\n{good}", *arguments)
    assert done.exit_code == 2
    assert len(done.stdout.splitlines()) == len(done.stderr.splitlines()) == 1
    assert not any(secret in done.stderr for secret in ("s3cret", "31337"))
    assert "is at step 1, the first line is taken as step 2" in streamed(monkeypatch, good, *arguments).stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--statistic", "median"), "statistic must be one of"),
        (("--statistic", "max_sum", "--bound", "2"), "--bound goes with --statistic counter, got --statistic max_sum"),
        (("--statistic", "sum_select", "--real"), "--real goes with --statistic counter"),
        (("--statistic", "histogram", "--clip"), "--clip goes with --statistic counter or max_sum or sum_select"),
        (("--statistic", "counter", "--largest", "5"), "--largest goes with --statistic max_sum"),
        (("--statistic", "max_sum", "--mechanism", "change_driven"), "largest must be given"),
        (("--statistic", "sum_select", "--mechanism", "tree"), "method must be one of"),
        (("--statistic", "histogram", "--dim", "0"), "n_bins must be"),
    ],
)
def test_bad_options_of_statistics(options: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    done = streamed(monkeypatch, "1\n", str(tmp_path / "state.json"), *EXACT, *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_horizon_is_required_for_counts_and_files_keep_to_their_statistic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arguments = (str(tmp_path / "state.json"), "--rho", "1", "--statistic")
    done = streamed(monkeypatch, "1\n", *arguments, "max_sum")
    assert (done.exit_code, "needs --horizon" in done.stderr) == (2, True)
    assert streamed(monkeypatch, "1\n", *arguments, "max_sum", "--horizon", "9").exit_code == 0
    for statistic in ("counter", "sum_select", "histogram"):
        done = streamed(monkeypatch, "1\n", *arguments, statistic, "--horizon", "9")
        assert (done.exit_code, done.stdout) == (2, "")
        assert "holds no state of" in done.stderr
    done = streamed(monkeypatch, "1\n", *arguments, "max_sum", "--horizon", "9", "--neighboring", "zero_out")
    assert "other parameters" in done.stderr
