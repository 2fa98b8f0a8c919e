"""Reference statistics against plain loops, fallbacks, and every kind of bad input."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacks import LiRA
from attacks.membership.references import check_references, masked_median, reference_statistics
from mechanisms.errors import InsufficientEvidenceError, WeakEvidenceWarning


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    k, n, q = draw(st.integers(1, 7)), draw(st.integers(1, 6)), draw(st.integers(1, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.normal(size=(k, n, q)) * 10 + 100, rng.random((k, n)) < draw(st.floats(0, 1))


@given(tables())
def test_statistics_equal_the_loop(table: tuple[np.ndarray, np.ndarray]):
    signals, member = table
    statistics = reference_statistics(signals, member)
    for side, mask in ((statistics.inside, member), (statistics.outside, ~member)):
        total, freedom = np.zeros(signals.shape[2]), 0
        for i in range(signals.shape[1]):
            own = np.array([signals[k, i] for k in range(len(signals)) if mask[k, i]])
            assert side.count[i] == len(own)
            if len(own) == 0:
                assert np.isnan(side.mean[i]).all()
                assert (side.sum_squares[i] == 0).all()
                continue
            assert side.mean[i] == pytest.approx(sum(own) / len(own))
            squares = sum((x - sum(own) / len(own)) ** 2 for x in own)
            assert side.sum_squares[i] == pytest.approx(squares, abs=1e-9)
            total, freedom = total + squares, freedom + len(own) - 1
        if freedom:
            assert side.pooled_variance() == pytest.approx(total / freedom)
        else:
            with pytest.raises(InsufficientEvidenceError, match=f"no record has two {side.name} references"):
                side.pooled_variance()


@given(tables())
def test_median_equals_the_loop(table: tuple[np.ndarray, np.ndarray]):
    signals, member = table
    fast = masked_median(signals, member)
    for i in range(signals.shape[1]):
        own = signals[member[:, i], i]
        assert np.isnan(fast[i]).all() if len(own) == 0 else fast[i] == pytest.approx(np.median(own, axis=0))


def test_mean_out_for_counts_from_one_to_all(rng: np.random.Generator):
    """Records with 1..K OUT references: the mean is over exactly those, no zero joins."""
    k = 9
    signals = rng.normal(size=(k, k)) + 50
    member = np.arange(k)[:, None] > np.arange(k)  # record i has i + 1 OUT references
    mean = reference_statistics(signals[..., None], member).outside.mean[:, 0]
    assert mean == pytest.approx([signals[: i + 1, i].mean() for i in range(k)])
    zero_masked = (signals * ~member).mean(0)  # the mistake: zeros of the masked references join the mean
    assert not np.allclose(mean, zero_masked)


def test_pooled_variance_is_within_records_not_around_the_grand_mean(rng: np.random.Generator):
    """Levels differ by 10, noise is 1: the value is near 1 (chi2 with 19,000 degrees, 6 sd), the grand one near 100."""
    signals = 10 * rng.normal(size=1000) + rng.normal(size=(20, 1000))
    statistics = reference_statistics(signals[..., None], np.zeros((20, 1000), dtype=bool))
    assert statistics.outside.pooled_variance()[0] == pytest.approx(1, abs=0.062)
    assert signals.var() > 50


def test_missing_side_falls_back_on_the_other_and_the_average_gap():
    signals = np.array([[0.0, 0, 0], [2, 1, 1], [5, 6, 7], [7, 7, 9]])
    member = np.array([[0, 0, 1], [0, 0, 1], [1, 0, 1], [1, 0, 1]])
    with pytest.warns(WeakEvidenceWarning, match="1 records have no IN and 1 no OUT"):
        attack = LiRA().fit(signals, member)
    gap = 5.0  # record 0: 6 - 1
    assert attack.mean_in_[:, 0].tolist() == [6, 3.5 + gap, 4.25]
    assert attack.mean_out_[:, 0].tolist() == [1, 3.5, 4.25 - gap]
    assert (attack.n_without_in_, attack.n_without_out_) == (1, 1)


def test_gap_that_no_record_shows_is_refused():
    with pytest.raises(InsufficientEvidenceError, match="no record has both"):
        LiRA().fit(np.arange(8.0).reshape(4, 2), np.tile([0, 1], (4, 1)))


def test_offline_needs_no_members_and_does_not_warn_of_them(rng: np.random.Generator):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LiRA(online=False).fit(rng.normal(size=(4, 3)), np.zeros((4, 3)))


GOOD = np.arange(12.0).reshape(4, 3) ** 2
HALF = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 1], [1, 0, 0]])


@pytest.mark.parametrize(
    ("signals", "member", "message"),
    [
        (np.where(GOOD == 4, np.nan, GOOD), HALF, r"ref_signals must be finite, got 1 NaN or infinite values in shape \(4, 3\)"),
        (np.where(GOOD == 4, np.inf, GOOD), HALF, "ref_signals must be finite, got 1"),
        (GOOD, HALF[:3], r"ref_member must have shape \(4, 3\) like ref_signals, got \(3, 3\)"),
        (GOOD, HALF * 2, r"ref_member must hold only true/false or 0/1, in shape \(4, 3\)"),
        (GOOD, np.zeros((4, 3)), "ref_member must hold members"),
        (GOOD, np.ones((4, 3)), "ref_member must hold non-members"),
        (GOOD[:0], HALF[:0], r"ref_signals must have shape .* none 0, got \(0, 3\)"),
        (GOOD[0], HALF[0], r"ref_signals must have shape .* got \(3,\)"),
        (GOOD.astype(str), HALF, "ref_signals must hold numbers"),
        (None, HALF, "LiRA needs references"),
    ],
)
def test_bad_references_are_refused(signals: np.ndarray | None, member: np.ndarray, message: str):
    with pytest.raises(ValueError, match=message):
        LiRA().fit(signals, member)


def test_messages_hold_no_value():
    with pytest.raises(ValueError, match="ref_signals") as caught:
        check_references(np.array([[123456.789, np.nan]]), [[0, 1]])
    assert "123456" not in str(caught.value)
