"""Score files: bit for bit there and back, every refusal names its column and shows no value, writing is all or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from attacks import MembershipScores, score_files

FORMATS = ("csv", "parquet", "CSV")


@pytest.mark.parametrize("ending", FORMATS)
def test_round_trip_is_bit_exact(ending: str, tmp_path: Path):
    rng = np.random.default_rng(3)
    score = rng.integers(0, 2**64, 5000, dtype=np.uint64).view(np.float64)  # every kind of float
    score = np.append(score[~np.isnan(score)], [np.inf, -np.inf, 0.0, -0.0, 5e-324, 0.1 + 0.2, 1.7976931348623157e308])
    n = len(score)
    scores = MembershipScores(score, rng.random(n) < 0.5, rng.integers(-(2**62), 2**62, n), rng.permutation(n))
    path = tmp_path / f"scores.{ending}"
    scores.write(path)
    found = MembershipScores.read(path)
    assert found.equals(scores)
    assert np.array_equal(found.score.view(np.uint64), scores.score.view(np.uint64))  # also the sign of zero


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(allow_nan=False), min_size=2, max_size=20))
def test_round_trip_of_any_floats(tmp_path: Path, values: list[float]):
    scores = MembershipScores(values, np.arange(len(values)) == 0)
    for ending in ("csv", "parquet"):
        scores.write(tmp_path / f"scores.{ending}")
        assert MembershipScores.read(tmp_path / f"scores.{ending}").equals(scores)


def write_csv(path: Path, text: str) -> Path:
    (path / "scores.csv").write_text(text, encoding="utf-8")
    return path / "scores.csv"


@pytest.mark.parametrize(
    "text",
    [
        "score,member\n0.5,1\n-inf,0\n",
        "member,score\ntrue,0.5\nFALSE,-Infinity\n",
        "score,member,example_id\r\n 5e-1 , true ,0\r\n-inf,0,1\r\n",
        '"score","member"\n"0.5","1"\n"-inf","0"',
    ],
)
def test_hand_written_csv_is_read(text: str, tmp_path: Path):
    assert MembershipScores.read(write_csv(tmp_path, text)).equals(MembershipScores([0.5, -np.inf], [1, 0]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("score,member\n0.51,1\nsecret73,0\n", "column 'score' must hold numbers, and has cells"),
        ("score,member\n0.51,yes\n0.73,0\n", "column 'member' must hold true/false or 0/1"),
        ("score,member,model_id\n0.51,1,1.5\n0.73,0,1\n", "column 'model_id' must hold whole numbers"),
        ("score,member,example_id\n0.51,1,99999999999999999999\n0.73,0,1\n", "column 'example_id' must hold whole numbers"),
        ("score,member\n0.51,1\n,0\n", "column 'score' has 1 empty cells"),
        ("score,member\nnan,1\n0.73,0\n", "score must not hold NaN, got 1 of 2"),
        ("score\n0.51\n0.73\n", "scores.csv lacks column 'member'"),
        ("loss,label\n0.51,1\n", "lacks columns 'score', 'member'; needed: score, member; optional: model_id, example_id"),
        ("score,member,loss\n0.51,1,3\n", "has unknown column 'loss'"),
        ("score,member,score\n0.51,1,3\n", "repeats column 'score'"),
        ("score,member\n0.51,1\n0.73\n", "no CSV table"),
        ("score,member\n", "score must not be empty"),
        ("", "no CSV table"),
    ],
)
def test_bad_csv_is_named_without_values(text: str, message: str, tmp_path: Path):
    with pytest.raises(ValueError, match=message) as caught:
        MembershipScores.read(write_csv(tmp_path, text))
    assert not any(value in str(caught.value) for value in ("0.51", "0.73", "secret73", "99999"))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"score": ["a", "b"], "member": [True, False]}, "column 'score' must hold numbers, and has cells"),
        ({"score": [[1.0], [2.0]], "member": [True, False]}, "column 'score' must hold numbers, got type list"),
        ({"score": [1.0, 2.0], "member": [1.0, 0.0]}, "column 'member' must hold true/false or 0/1, got type double"),
        ({"score": [1.0, 2.0], "member": [2, 0]}, "member must hold only"),
        (
            {"score": [1.0, 2.0], "member": [True, False], "model_id": [1.0, 2.0]},
            "'model_id' must hold whole numbers, got type double",
        ),
        ({"score": [1.0, None], "member": [True, False]}, "column 'score' has 1 empty cells"),
        ({"score": [1.0, 2.0], "member": [True, False], "x": [1, 2]}, "has unknown column 'x'"),
    ],
)
def test_bad_parquet_is_named(columns: dict[str, list[object]], message: str, tmp_path: Path):
    parquet.write_table(pa.table(columns), tmp_path / "scores.parquet")
    with pytest.raises(ValueError, match=message):
        MembershipScores.read(tmp_path / "scores.parquet")


def test_other_number_types_and_pandas_files_are_read(tmp_path: Path):
    frame = pd.DataFrame(
        {"score": np.array([1, 2, 3], dtype=np.float32), "member": [1, 0, 1], "model_id": np.array([1, 1, 2], dtype=np.uint8)}
    )
    frame.to_parquet(tmp_path / "scores.parquet")
    frame.to_csv(tmp_path / "scores.csv", index=False)
    expected = MembershipScores([1, 2, 3], [1, 0, 1], [1, 1, 2])
    for ending in ("csv", "parquet"):
        assert MembershipScores.read(tmp_path / f"scores.{ending}").equals(expected)


def test_files_that_are_not_what_they_say(tmp_path: Path):
    (tmp_path / "scores.parquet").write_text("score,member\n1,1\n")
    with pytest.raises(ValueError, match=r"scores.parquet is no Parquet file"):
        MembershipScores.read(tmp_path / "scores.parquet")
    with pytest.raises(FileNotFoundError, match="no such file"):
        MembershipScores.read(tmp_path / "nothing.csv")
    for name in ("scores.txt", "scores", "scores.csv.gz"):
        with pytest.raises(ValueError, match=r"must end in \.csv or \.parquet, got"):
            MembershipScores.read(tmp_path / name)
        with pytest.raises(ValueError, match=r"must end in \.csv or \.parquet, got"):
            MembershipScores([1, 2], [1, 0]).write(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.parquet"]


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "scores.csv"
    old = MembershipScores([1, 2], [1, 0])
    old.write(path)

    def fail(table: pa.Table, to: Path) -> None:
        to.write_text("half a fi")
        raise OSError("disk full")

    monkeypatch.setattr(score_files, "_write_csv", fail)
    with pytest.raises(OSError, match="disk full"):
        MembershipScores([3, 4], [1, 0]).write(path)
    assert MembershipScores.read(path).equals(old)
    assert [item.name for item in tmp_path.iterdir()] == ["scores.csv"]


def test_writing_replaces(tmp_path: Path):
    for value in (1, 2):
        MembershipScores([value, 0], [1, 0]).write(str(tmp_path / "scores.parquet"))
    assert MembershipScores.read(str(tmp_path / "scores.parquet")).score.tolist() == [2, 0]
