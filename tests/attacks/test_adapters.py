"""Scores of other tools: their documented files and results come over exactly; anything else is refused in a sentence without values."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from attacks.adapters.leakpro import read_leakpro
from attacks.adapters.ml_privacy_meter import read_ml_privacy_meter
from attacks.adapters.privacy_guard import from_privacy_guard
from attacks.adapters.tensorflow_privacy import from_tensorflow_privacy, read_tensorflow_privacy_lira
from attacks.scores import MembershipScores

N = 40
SCORE = np.random.default_rng(1).normal(size=N)
MEMBER = np.arange(N) % 3 == 0


class Opaque:
    """Unpickling this would run code; the tests below would see it."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("something was unpickled",)


class TestMLPrivacyMeter:
    @staticmethod
    def write(path: Path, **changes: object) -> Path:
        roc = {"fpr": np.zeros(2), "tpr": np.zeros(2), "auc": 0.5, "one_tenth_fpr": 0.0, "zero_fpr": 0.0}
        np.savez(path, **(roc | {"scores": SCORE, "memberships": MEMBER} | changes))
        return path

    def test_one_file(self, tmp_path: Path):
        found = read_ml_privacy_meter(self.write(tmp_path / "attack_result_0.npz"))
        assert found.equals(MembershipScores(SCORE, MEMBER))

    def test_files_of_several_target_models(self, tmp_path: Path):
        paths = [
            self.write(tmp_path / "attack_result_0.npz"),
            self.write(tmp_path / "attack_result_1.npz", scores=-SCORE, memberships=~MEMBER),
        ]
        found = read_ml_privacy_meter([str(path) for path in paths])
        expected = MembershipScores(np.append(SCORE, -SCORE), np.append(MEMBER, ~MEMBER), np.repeat([0, 1], N), np.tile(np.arange(N), 2))
        assert found.equals(expected)

    def test_an_average_is_refused(self, tmp_path: Path):
        for name in ("attack_result_average.npz", "attack_result_average_dp.npz"):
            with pytest.raises(ValueError, match="joins several target models"):
                read_ml_privacy_meter(self.write(tmp_path / name))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"memberships": MEMBER[:5]}, r"one shape \(n,\), got \(40,\) and \(5,\)"),
            ({"scores": SCORE[None], "memberships": MEMBER[None]}, r"one shape \(n,\)"),
            ({"scores": SCORE.astype(str)}, "must hold numbers"),
            ({"memberships": MEMBER + 7}, "memberships must hold only true/false or 0/1"),
            ({"scores": np.where(MEMBER, np.nan, SCORE)}, "score must not hold NaN, got 14 of 40"),
            ({"memberships": np.ones(N, dtype=bool)}, "both members and non-members"),
            ({"scores": np.array([Opaque()] * N, dtype=object)}, "damaged arrays or arrays of objects, which are never unpickled"),
        ],
    )
    def test_what_does_not_fit(self, changes, message, tmp_path: Path):
        with pytest.raises(ValueError, match=message) as caught:
            read_ml_privacy_meter(self.write(tmp_path / "attack_result_0.npz", **changes))
        assert str(SCORE[0])[:6] not in str(caught.value)

    def test_other_files(self, tmp_path: Path):
        path = tmp_path / "attack_result_0.npz"
        with pytest.raises(FileNotFoundError, match="no such file"):
            read_ml_privacy_meter(path)
        with pytest.raises(ValueError, match="at least one file"):
            read_ml_privacy_meter([])
        with pytest.raises(ValueError, match=r"must end in \.npz, got 'scores.csv'"):
            read_ml_privacy_meter(tmp_path / "scores.csv")
        np.savez(path, scores=SCORE)
        with pytest.raises(ValueError, match="lacks the array 'memberships'"):
            read_ml_privacy_meter(path)
        for content in (b"", b"PK\x03\x04 no archive", b"text"):
            path.write_bytes(content)
            with pytest.raises(ValueError, match=r"attack_result_0.npz is no \.npz file"):
                read_ml_privacy_meter(path)
        with path.open("wb") as file:
            np.save(file, SCORE)
        with pytest.raises(ValueError, match="but a single array"):
            read_ml_privacy_meter(path)


class TestLeakPro:
    @staticmethod
    def write(path: Path, **changes: object) -> Path:
        record = {
            "result_name": "LiRA",
            "result_type": "MIAResult",
            "id": "LiRA-0123456789abcdef",
            "tpr": [0.0, 1.0],
            "fpr": [0.0, 1.0],
            "roc_auc": 0.5,
            "accuracy": [0.5, 0.5],
            "fixed_fpr": {"TPR@1%FPR": 0.0},
            "signal_values": SCORE.tolist(),
            "true_labels": MEMBER.astype(int).tolist(),
            "config": {"online": True},
            "tp": [0],
            "fp": [0],
            "tn": [0],
            "fn": [0],
        }
        path.write_text(json.dumps(record | changes))
        return path

    def test_a_result(self, tmp_path: Path):
        assert read_leakpro(self.write(tmp_path / "abc.json")).equals(MembershipScores(SCORE, MEMBER))

    def test_infinite_signals_are_ordered(self, tmp_path: Path):
        infinite = np.where(MEMBER, np.inf, -np.inf)
        assert read_leakpro(self.write(tmp_path / "abc.json", signal_values=infinite.tolist())).score.tolist() == infinite.tolist()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"resulttype": "MIAResult"}, "written by an earlier LeakPro"),
            ({"result_type": "GIAResults"}, "result_type 'MIAResult'"),
            ({"signal_values": None}, "holds guesses, no signal values"),
            ({"signal_values": [[1.0]] * N}, "'signal_values' as a list of numbers"),
            ({"signal_values": ["secret"] * N}, "'signal_values' as a list of numbers"),
            ({"true_labels": None}, "'true_labels' as a list of numbers"),
            ({"true_labels": [0, 1]}, "lengths must agree"),
            ({"true_labels": [2] * N}, "member must hold only true/false or 0/1"),
            ({"signal_values": [float("nan")] * N}, "score must not hold NaN"),
        ],
    )
    def test_what_does_not_fit(self, changes, message, tmp_path: Path):
        with pytest.raises(ValueError, match=message) as caught:
            read_leakpro(self.write(tmp_path / "abc.json", **changes))
        assert "secret" not in str(caught.value)

    def test_other_files(self, tmp_path: Path):
        path = tmp_path / "abc.json"
        for text, message in (("", "is no JSON file"), ("[1]", "must hold a JSON object, got list"), ("{}", "result_type 'MIAResult'")):
            path.write_text(text)
            with pytest.raises(ValueError, match=message):
                read_leakpro(path)
        with pytest.raises(ValueError, match=r"must end in \.json"):
            read_leakpro(tmp_path / "results.pkl")


class TestPrivacyGuard:
    TRAIN, TEST = {"user_id": [1, 2, 3], "score": [0.3, 0.2, 0.1]}, {"user_id": [4, 5], "score": [0.0, 0.25]}

    @pytest.mark.parametrize("table", [pd.DataFrame, pa.table])
    def test_two_tables(self, table):
        found = from_privacy_guard(table(self.TRAIN), table(self.TEST))
        assert found.equals(MembershipScores([0.3, 0.2, 0.1, 0.0, 0.25], [1, 1, 1, 0, 0]))

    def test_after_aggregation_the_user_is_the_index(self):
        train, test = (pd.DataFrame(table).groupby(["user_id"], sort=False).mean() for table in (self.TRAIN, self.TEST))
        assert from_privacy_guard(train, test).auc == from_privacy_guard(pd.DataFrame(self.TRAIN), pd.DataFrame(self.TEST)).auc

    @pytest.mark.parametrize(
        ("train", "message"),
        [
            ({"loss": [0.51]}, "df_train_user lacks the column 'score'"),
            ({"score": ["0.51"]}, "df_train_user must hold numbers in column 'score'"),
            ({"score": [True]}, "df_train_user must hold numbers in column 'score'"),
            ({"score": [0.51, None]}, "df_train_user has 1 empty cells"),
        ],
    )
    def test_what_does_not_fit(self, train, message):
        with pytest.raises(ValueError, match=message) as caught:
            from_privacy_guard(pa.table(train), pa.table(self.TEST))
        assert "0.51" not in str(caught.value)

    def test_no_tables(self):
        with pytest.raises(TypeError, match="df_train_user must be a table of pandas, polars or pyarrow, got list"):
            from_privacy_guard([0.1], [0.2])


class TestTensorFlowPrivacy:
    @staticmethod
    def write(folder: Path, name: str, score: np.ndarray, keep: np.ndarray, checkpoint: int = 100) -> None:
        (folder / name / "scores").mkdir(parents=True, exist_ok=True)
        np.save(folder / name / "keep.npy", keep)
        np.save(folder / name / "scores" / f"{checkpoint:010d}.npy", score)

    def test_a_lira_folder(self, tmp_path: Path):
        self.write(tmp_path, "experiment_0_of_2", -SCORE, MEMBER, checkpoint=9)
        self.write(tmp_path, "experiment_0_of_2", SCORE, MEMBER, checkpoint=10)
        self.write(tmp_path, "experiment_1_of_2", np.stack([SCORE, SCORE + 2], axis=1), ~MEMBER)
        (tmp_path / "experiment_2_of_2").mkdir()  # not scored yet
        expected = MembershipScores(np.append(SCORE, SCORE + 1), np.append(MEMBER, ~MEMBER), np.repeat([0, 1], N), np.tile(np.arange(N), 2))
        found = read_tensorflow_privacy_lira(tmp_path)
        assert np.allclose(found.score, expected.score, atol=1e-15)
        assert all(np.array_equal(getattr(found, name), getattr(expected, name)) for name in ("member", "model_id", "example_id"))

    def test_scores_of_the_first_records_only(self, tmp_path: Path):
        self.write(tmp_path, "experiment_0", SCORE[:10], MEMBER)
        assert read_tensorflow_privacy_lira(tmp_path).equals(MembershipScores(SCORE[:10], MEMBER[:10]))

    @pytest.mark.parametrize(
        ("score", "keep", "message"),
        [
            (SCORE.reshape(2, 5, 4), MEMBER, r"must hold floats \(n,\) or \(n, augmentations\), got float64 \(2, 5, 4\)"),
            (np.arange(N), MEMBER, "must hold floats"),
            (SCORE, MEMBER[:5], r"one entry per record, 40, got shape \(5,\)"),
            (SCORE, MEMBER + 5, "keep must hold only true/false or 0/1"),
            (SCORE.reshape(N, 1)[:, :0], MEMBER, "must hold floats"),
        ],
    )
    def test_what_does_not_fit(self, score, keep, message, tmp_path: Path):
        self.write(tmp_path, "experiment_0", score, keep)
        with pytest.raises(ValueError, match=message):
            read_tensorflow_privacy_lira(tmp_path)

    def test_folders_and_files_that_are_not_there(self, tmp_path: Path):
        with pytest.raises(FileNotFoundError, match="no such folder"):
            read_tensorflow_privacy_lira(tmp_path / "exp")
        with pytest.raises(FileNotFoundError, match=r"run the tool's score\.py first"):
            read_tensorflow_privacy_lira(tmp_path)
        self.write(tmp_path, "experiment_0", SCORE, MEMBER)
        (tmp_path / "experiment_0" / "keep.npy").unlink()
        with pytest.raises(ValueError, match=r"experiment_0 has scores but no keep\.npy"):
            read_tensorflow_privacy_lira(tmp_path)

    def test_nothing_is_unpickled(self, tmp_path: Path):
        self.write(tmp_path, "experiment_0", SCORE, MEMBER)
        np.save(tmp_path / "experiment_0" / "keep.npy", np.array([Opaque()] * N, dtype=object), allow_pickle=True)
        with pytest.raises(ValueError, match="never unpickled"):
            read_tensorflow_privacy_lira(tmp_path)
        with (tmp_path / "experiment_0" / "keep.npy").open("wb") as file:
            np.savez(file, keep=MEMBER)
        with pytest.raises(ValueError, match=r"is no \.npy file but an archive"):
            read_tensorflow_privacy_lira(tmp_path)

    def test_a_result_in_memory(self):
        result = SimpleNamespace(membership_scores_train=np.array([0.3, 0.2]), membership_scores_test=np.array([0.1, 0.25]))
        assert from_tensorflow_privacy(result).equals(MembershipScores([0.3, 0.2, 0.1, 0.25], [1, 1, 0, 0]))
        result.membership_scores_test = None
        with pytest.raises(ValueError, match="holds no membership scores"):
            from_tensorflow_privacy(result)
        with pytest.raises(TypeError, match="must be a SingleAttackResult with membership scores, got str"):
            from_tensorflow_privacy("results.pickle")
