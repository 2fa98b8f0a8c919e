"""Anytime-valid audits: the wealth is a fair game, claims are rejected as often as promised at most, and state is the whole future."""

from __future__ import annotations

import json
import math
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mechanisms.guarantee import Neighboring
from privacy_audit.estimate.sequential import SequentialAuditor
from privacy_audit.estimate.streams.betting import FACTORS, LogBets, log_wealth
from privacy_audit.estimate.streams.stop_rule import run_until_rejected

NEEDED = math.log(20)


def randomized_response(epsilon: float, n: int | tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    bit = rng.random(n) < 0.5
    return bit, bit == (rng.random(n) < 1 / (1 + math.exp(-epsilon)))


def on_the_edge(epsilon: float, delta: float, fpr: float, n: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    bit = rng.random(n) < 0.5
    return bit, rng.random(n) < np.where(bit, math.exp(epsilon) * fpr + delta, fpr)


def ever_rejected(bit: np.ndarray, guess: np.ndarray, epsilon: float, delta: float) -> int:
    """How many streams (rows) reject the claim at any time."""
    hits, alarms = np.cumsum(bit & guess, axis=1), np.cumsum(~bit & guess, axis=1)
    rest = np.arange(1, bit.shape[1] + 1) - hits - alarms
    return int((log_wealth(LogBets.against(epsilon, delta), hits, alarms, rest).max(axis=1) >= NEEDED).sum())


def most(n: int, rate: float = 0.05) -> int:
    """A count that n trials at this rate exceed with probability 1e-6."""
    return int(stats.binom.isf(1e-6, n, rate))


class TestWealth:
    @given(
        epsilon=st.floats(0, 8),
        delta=st.sampled_from([0.0, 1e-5, 0.1, 0.9]),
        trials=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60),
    )
    def test_it_is_the_average_of_products(self, epsilon, delta, trials):
        odds = math.exp(epsilon)
        wealth = np.ones(len(FACTORS))
        for bit, guess in trials:
            gain = (guess and bit) - odds * (guess and not bit) - delta / 2
            wealth *= 1 + np.array(FACTORS) / (odds + delta / 2) * gain
        hits, alarms = sum(b and g for b, g in trials), sum(g and not b for b, g in trials)
        found = log_wealth(LogBets.against(epsilon, delta), hits, alarms, len(trials) - hits - alarms)
        assert float(found) == pytest.approx(math.log(wealth.mean()), abs=1e-9)

    @given(epsilon=st.floats(0, 8), delta=st.floats(0, 0.9), fpr=st.floats(0, 1), share=st.floats(0, 1))
    def test_a_true_claim_is_no_favorable_game(self, epsilon, delta, fpr, share):
        edge = min(1.0, math.exp(epsilon) * fpr + delta)
        for tpr in (edge, share * edge):
            mean = self.mean_factor(LogBets.against(epsilon, delta), fpr, tpr)
            assert (mean <= 1 + 1e-12).all()

    @given(epsilon=st.floats(0, 4), delta=st.floats(0, 0.5), share=st.floats(0, 1))
    def test_on_the_edge_the_game_is_fair(self, epsilon, delta, share):
        fpr = share * (1 - delta) * math.exp(-epsilon)
        mean = self.mean_factor(LogBets.against(epsilon, delta), fpr, math.exp(epsilon) * fpr + delta)
        assert mean == pytest.approx(np.ones(len(FACTORS)), abs=1e-12)

    def test_without_the_delta_term_it_is_favorable(self):
        fpr, delta = 0.2, 0.1
        twin = LogBets.against(1.0, 0.0)
        assert (self.mean_factor(twin, fpr, math.e * fpr + delta) > 1 + 1e-4).all()

    @staticmethod
    def mean_factor(bets: LogBets, fpr: float, tpr: float) -> np.ndarray:
        return tpr / 2 * np.exp(bets.hit) + fpr / 2 * np.exp(bets.false_alarm) + (1 - (tpr + fpr) / 2) * np.exp(bets.no_guess)

    def test_huge_claims_do_not_overflow(self):
        assert log_wealth(LogBets.against(5000.0, 0.1), 10, 0, 0) == 0
        assert np.isfinite(log_wealth(LogBets.against([0.0, 800.0], 0.1), 10**9, 10**9, 10**9)).all()


class TestTrueClaims:
    def test_randomized_response(self, rng):  # false alarm 1e-6; 2,000 streams of 4,000 steps on the corner
        crossed = sum(ever_rejected(*randomized_response(1.0, (200, 4000), rng), 1.0, 0.0) for _ in range(10))
        assert crossed <= most(2000)
        assert crossed / 2000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)  # weaker than 1e-6 at a rate of 0.05; the rate is 0.03

    def test_with_delta_and_the_twin_without_it(self, rng):  # false alarm 1e-6
        crossed = twin = 0
        for _ in range(5):
            bit, guess = on_the_edge(1.0, 0.1, 0.2, (200, 2000), rng)
            crossed += ever_rejected(bit, guess, 1.0, 0.1)
            twin += ever_rejected(bit, guess, 1.0, 0.0)
        assert crossed <= most(1000)
        assert twin > most(1000)

    def test_running_bound_and_a_peeking_test(
        self, rng
    ):  # false alarm 1e-6; the twin is the one-sided z test of the same gains, at all times
        wrong = peeking = 0
        for _ in range(200):
            bit, guess = randomized_response(1.0, 1000, rng)
            auditor = SequentialAuditor(epsilon=3.0, delta=0.0)
            auditor.update(bit, guess)
            wrong += auditor.lower_bound > 1.0
            gain = 1.0 * (bit & guess) - math.e * (~bit & guess)
            z = np.cumsum(gain)[50:] / np.sqrt(np.cumsum(gain**2)[50:])
            peeking += (z > 1.645).any()
        assert wrong <= most(200)
        assert peeking > most(200)

    def test_the_attack_may_learn_from_the_past(self, rng):  # false alarm 1e-6; it guesses only while it is ahead
        crossed = 0
        for _ in range(200):
            auditor = SequentialAuditor(epsilon=1.0, delta=0.0)
            for _ in range(20):
                bit, guess = randomized_response(1.0, 50, rng)
                auditor.update(bit, guess & (auditor.log_e_value < 2))
            crossed += auditor.rejected
        assert crossed <= most(200)


class TestFalseClaims:
    def test_truth_two_against_claim_one(self, rng):  # false alarm 1e-6: the median of a stream is 105, that of 200 has standard error 5.5
        stops = []
        for _ in range(200):
            auditor = SequentialAuditor(epsilon=1.0, delta=0.0)
            auditor.update(*randomized_response(2.0, 1000, rng))
            assert auditor.rejected
            stops.append(auditor.rejected_at)
        assert np.median(stops) <= 132

    def test_the_bound_comes_near(self, rng):  # bound of 1e5 trials at truth 2; its standard error is below 0.02
        auditor = SequentialAuditor(epsilon=1.0, delta=0.0)
        auditor.update(*randomized_response(2.0, 100_000, rng))
        assert 1.85 < auditor.lower_bound < 2.1

    def test_only_one_direction_is_tested(self, rng):
        bit, guess = randomized_response(2.0, 2000, rng)
        one, other = SequentialAuditor(epsilon=1.0, delta=0.0), SequentialAuditor(epsilon=1.0, delta=0.0)
        one.update(bit, ~guess)
        other.update(~bit, ~guess)
        assert not one.rejected
        assert other.rejected

    def test_stop_rule(self, rng):
        bit, guess = randomized_response(2.0, 4000, rng)
        auditor = SequentialAuditor(epsilon=1.0, delta=0.0)
        drawn = run_until_rejected(auditor, zip(bit, guess, strict=True), most=4000)
        assert drawn == auditor.n == auditor.rejected_at
        assert run_until_rejected(SequentialAuditor(epsilon=9.0, delta=0.0), zip(bit, guess, strict=True), most=100) == 100
        assert run_until_rejected(SequentialAuditor(epsilon=9.0, delta=0.0), [(True, True)] * 3, most=100) == 3
        with pytest.raises(ValueError, match="most must be a whole number >= 1"):
            run_until_rejected(auditor, [], most=0)


class TestRunningBound:
    def test_a_gap_in_the_rejected_claims_ends_the_bound(self):
        # with delta > 0 the wealth need not fall in epsilon: here (2.7, 0.01) is rejected while (0, 0.01) never was
        auditor = SequentialAuditor(epsilon=0.0, delta=0.01)
        auditor.update(np.zeros(612_085, dtype=bool), np.zeros(612_085, dtype=bool))
        auditor.update(np.ones(3244, dtype=bool), np.ones(3244, dtype=bool))
        path = log_wealth(LogBets.against([0.0, 2.7], 0.01), np.arange(3245)[:, None], 0, 612_085)
        assert path[:, 0].max() < NEEDED <= path[:, 1].max()
        assert not auditor.rejected
        assert auditor.lower_bound == 0

    def test_it_is_the_naive_one(self, rng):
        for epsilon, delta in ((0.3, 0.0), (1.005, 0.05)):
            bit, guess = randomized_response(3.0, 600, rng)
            auditor = SequentialAuditor(epsilon=epsilon, delta=delta)
            grid = np.union1d(np.arange(1001) / 100, [epsilon])
            hits, alarms = (np.cumsum(x)[:, None] for x in (bit & guess, ~bit & guess))
            best = log_wealth(LogBets.against(grid, delta), hits, alarms, np.arange(1, 601)[:, None] - hits - alarms).max(axis=0)
            open_points = np.flatnonzero(best < NEEDED)
            auditor.update(bit, guess)
            assert auditor.lower_bound == grid[open_points[0] - 1]
            assert auditor.rejected == (best[grid == epsilon][0] >= NEEDED)

    def test_it_never_falls(self, rng):
        auditor, seen = SequentialAuditor(epsilon=1.0, delta=0.0), [0.0]
        for _ in range(40):
            auditor.update(*randomized_response(3.0, 50, rng))
            seen.append(auditor.lower_bound)
        assert all(a <= b for a, b in pairwise(seen))
        n, log_e, bound = auditor.path()
        assert (n[-1], log_e[-1], bound[-1]) == (auditor.n, auditor.log_e_value, auditor.lower_bound)
        assert (np.diff(bound) >= 0).all()

    def test_the_record(self):
        auditor = SequentialAuditor(epsilon=1.0, delta=0.0, level=0.9, neighboring=Neighboring.REPLACE)
        auditor.update([True] * 60, [True] * 60)
        bound = auditor.bound()
        assert (bound.kind, bound.method, bound.level, bound.neighboring) == ("bound", "sequential", 0.9, Neighboring.REPLACE)
        record = json.loads(json.dumps(auditor.to_dict(), allow_nan=False))
        assert (record["kind"], record["claim"], record["n"], record["rejected"]) == ("bound", 1.0, 60, True)
        assert record["epsilon"] == auditor.lower_bound > 1

    def test_a_million_trials(self, rng):
        auditor = SequentialAuditor(epsilon=0.5, delta=1e-6)
        auditor.update(*randomized_response(3.0, 10**6, rng))
        assert auditor.n == 10**6
        assert auditor.e_value == math.inf
        assert auditor.log_e_value > 1e5
        assert auditor.to_dict()["e_value"] == "inf"
        assert 2.9 < auditor.lower_bound <= 3.05
        assert len(auditor.path()[0]) <= 513

    def test_no_trial_yet(self):
        auditor = SequentialAuditor(epsilon=1.0, delta=0.0)
        assert (auditor.n, auditor.e_value, auditor.lower_bound, auditor.rejected, auditor.rejected_at) == (0, 1.0, 0.0, False, None)
        auditor.update([], [])
        assert auditor.n == 0


class TestState:
    @given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(0, 1500), max_size=4))
    @settings(max_examples=15)
    def test_batches_make_no_difference(self, seed, cuts):
        bit, guess = randomized_response(2.5, 1500, np.random.default_rng(seed))
        whole, parts = SequentialAuditor(epsilon=1.0, delta=0.02), SequentialAuditor(epsilon=1.0, delta=0.02)
        whole.update(bit, guess)
        for start, end in pairwise([0, *sorted(cuts), 1500]):
            parts.update(bit[start:end], guess[start:end])
        assert whole.state_dict() == parts.state_dict()

    def test_scalars_and_arrays_agree(self, rng):
        bit, guess = randomized_response(2.5, 700, rng)
        whole, single = SequentialAuditor(epsilon=1.0, delta=0.0), SequentialAuditor(epsilon=1.0, delta=0.0)
        whole.update(bit.astype(int), guess)
        for b, g in zip(bit, guess, strict=True):
            single.update(b, g)
        assert whole.state_dict() == single.state_dict()

    @pytest.mark.parametrize("after", [0, 30, 700])
    def test_a_restored_auditor_has_the_same_future(self, after, rng, tmp_path):
        bit, guess = randomized_response(2.5, 1500, rng)
        first = SequentialAuditor(epsilon=1.0, delta=0.01, level=0.9, neighboring=Neighboring.REPLACE)
        first.update(bit[:after], guess[:after])
        first.save(tmp_path / "audit.json")
        second = SequentialAuditor.load(tmp_path / "audit.json")
        third = SequentialAuditor(epsilon=1.0, delta=0.01, level=0.9, neighboring=Neighboring.REPLACE)
        third.load_state_dict(json.loads(json.dumps(first.state_dict())))
        for auditor in (first, second, third):
            auditor.update(bit[after:], guess[after:])
        assert first.state_dict() == second.state_dict() == third.state_dict()
        assert first.to_dict() == second.to_dict() == third.to_dict()
        assert [path.name for path in tmp_path.iterdir()] == ["audit.json"]

    def test_a_failed_save_leaves_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        auditor = SequentialAuditor(epsilon=1.0, delta=0.0)
        auditor.save(tmp_path / "audit.json")

        def fail(*_: object) -> None:
            raise OSError("disk full")

        monkeypatch.setattr(os, "fsync", fail)
        auditor.update(True, True)
        with pytest.raises(OSError, match="disk full"):
            auditor.save(tmp_path / "audit.json")
        assert [path.name for path in tmp_path.iterdir()] == ["audit.json"]
        assert SequentialAuditor.load(tmp_path / "audit.json").n == 0

    @pytest.mark.parametrize(
        ("change", "name"),
        [({"epsilon": 2.0}, "epsilon"), ({"delta": 0.1}, "delta"), ({"level": 0.9}, "level"), ({"schema_version": 2}, "schema_version")],
    )
    def test_states_of_other_audits_are_refused(self, change, name):
        auditor = SequentialAuditor(epsilon=1.0, delta=0.0)
        with pytest.raises(ValueError, match=f"state must be of an auditor with the same {name}"):
            auditor.load_state_dict(auditor.state_dict() | change)

    @pytest.mark.parametrize(
        "change",
        [
            {"n": -1},
            {"n": 2},
            {"n_hits": 2.5},
            {"n_false_alarms": "x"},
            {"stride": 0},
            {"rejected_at": [99]},
            {"rejected_at": [-1]},
            {"rejected_at": [1] * 5000},
            {"rejected_at": [[1]]},
            {"checkpoints": [1, 2]},
            {"checkpoints": [[9, 1, 1]]},
            {"checkpoints": None},
        ],
    )
    def test_damaged_states_are_refused_and_change_nothing(self, change):
        auditor = SequentialAuditor(epsilon=1.0, delta=0.0)
        auditor.update([True] * 5, [True] * 5)
        before = auditor.state_dict()
        with pytest.raises(ValueError, match="state is damaged"):
            auditor.load_state_dict(before | change)
        with pytest.raises(ValueError, match="state is damaged"):
            auditor.load_state_dict({name: value for name, value in before.items() if name not in change})
        assert auditor.state_dict() == before

    @pytest.mark.parametrize(
        "text", ["", "[]", "{}", '{"epsilon": 1}', '{"epsilon": "x", "delta": 0, "level": 0.95, "neighboring": "replace"}']
    )
    def test_files_that_hold_no_state(self, text, tmp_path):
        (tmp_path / "audit.json").write_text(text)
        with pytest.raises(ValueError, match=r"audit\.json holds no state of a SequentialAuditor"):
            SequentialAuditor.load(tmp_path / "audit.json")


class TestBadInput:
    def test_trials(self):
        auditor = SequentialAuditor(epsilon=1.0, delta=0.0)
        for bit, guess, message in (
            ([True, False], [True], "lengths must agree"),
            ([2], [1], "bit must hold only true/false or 0/1"),
            ([True], [float("nan")], "guess must hold only true/false or 0/1"),
            ([[True]], [[True]], "bit must have one axis"),
        ):
            with pytest.raises(ValueError, match=message):
                auditor.update(bit, guess)
        assert auditor.n == 0

    def test_parameters(self):
        for change, message in (
            ({"epsilon": -1}, "epsilon must be non-negative"),
            ({"epsilon": math.inf}, "epsilon must be non-negative and finite"),
            ({"delta": 1}, "delta must be in"),
            ({"level": 95}, "did you mean 0.95"),
        ):
            with pytest.raises(ValueError, match=message):
                SequentialAuditor(**({"epsilon": 1.0, "delta": 0.0} | change))
        with pytest.raises(TypeError, match="neighboring must be a Neighboring"):
            SequentialAuditor(epsilon=1.0, delta=0.0, neighboring="replace")


def test_monitor_plot(rng):
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    auditor = SequentialAuditor(epsilon=1.0, delta=0.0)
    with pytest.raises(ValueError, match="no trial"):
        auditor.plot()
    auditor.update(*randomized_response(2.0, 2000, rng))
    _, given = plt.subplots()
    ax = auditor.plot(given)
    assert ax is given
    assert f"{auditor.lower_bound:.2f}" in ax.get_title()
    n, log_e, _ = auditor.path()
    assert np.allclose(ax.lines[0].get_xydata(), np.stack([n, log_e / math.log(10)], axis=1))
    assert ax.lines[1].get_ydata()[0] == pytest.approx(math.log10(20))
    assert auditor.plot() is not given
    plt.close("all")
