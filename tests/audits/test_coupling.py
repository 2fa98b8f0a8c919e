"""In how many records training sets of two worlds differ: the sampler's own draws, coupled as the proof says, and its distances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from attacks.distribution.resample import largest_remainder, world_law
from privacy_audit.audits.coupling import Coupling, coupled_draws, coupled_quotas

TABLE = np.array([[30.0, 12.0, 8.0], [5.0, 20.0, 25.0]])
shares = st.floats(0.02, 0.98)


def coupled_cells(law_0, law_1, n, rng):
    """Maximal coupling of cells, place by place: one row of counts for each world."""
    first, second = law_0.ravel(), law_1.ravel()
    both = np.minimum(first, second)
    same = rng.random(n) < both.sum()
    cells_0 = rng.choice(len(first), n, p=both / both.sum())
    cells_1 = cells_0.copy()
    cells_0[~same] = rng.choice(len(first), n, p=(first - both) / (first - both).sum())[~same]
    cells_1[~same] = rng.choice(len(first), n, p=(second - both) / (second - both).sum())[~same]
    return (np.bincount(cells, minlength=len(first)) for cells in (cells_0, cells_1))


@given(shares, shares, st.booleans())
def test_with_fixed_rates_of_labels_the_cells_differ_as_much_as_the_ratios(alpha_0, alpha_1, fixed):
    rate = TABLE.sum(axis=0) / TABLE.sum() if fixed else None
    laws = [world_law(TABLE, alpha, label_rate=rate) for alpha in (alpha_0, alpha_1)]
    found = coupled_draws(*laws, 100)
    assert found.n_pairs == 100
    # raking scales rows and columns, so every label's share of the property moves the same way
    assert found.chance == pytest.approx(abs(alpha_1 - alpha_0), abs=1e-6)


def test_other_laws_differ_more_than_their_ratios():
    skew = coupled_draws([[0.4, 0.1], [0.1, 0.4]], [[0.1, 0.4], [0.4, 0.1]], 10)
    assert skew.chance == pytest.approx(0.6)  # the ratios are equal
    assert skew.mean == pytest.approx(6)


def test_coupled_draws_have_the_worlds_laws_and_differ_as_rarely_as_said(rng):
    """False alarm 1e-6: three binomial tests at 3e-7."""
    laws = [world_law(TABLE, alpha, label_rate=[0.3, 0.4, 0.3]) for alpha in (0.5, 0.2)]
    n, repeats = 40, 4000
    coupling = coupled_draws(*laws, n)
    counts = [tuple(coupled_cells(*laws, n, rng)) for _ in range(repeats)]
    for world, law in enumerate(laws):
        in_first = sum(int(pair[world][0]) for pair in counts)
        assert 2 * min(binom.cdf(in_first, n * repeats, law[0, 0]), binom.sf(in_first - 1, n * repeats, law[0, 0])) > 3e-7
    differ = np.array([int(np.maximum(b - a, 0).sum()) for a, b in counts])
    # Binomial(n, chance) is stochastically larger, at every value
    for k in (8, 12, 16):
        above = int((differ > k).sum())
        assert binom.sf(above - 1, repeats, coupling_tail(coupling, k)) > 3e-7
    halved = Coupling(n, coupling.chance / 2)  # negative control
    assert binom.sf(int((differ > 12).sum()) - 1, repeats, coupling_tail(halved, 12)) < 1e-6


def coupling_tail(coupling, k):
    return binom.sf(k, coupling.n_pairs, coupling.chance)


@given(shares, shares, st.integers(1, 400))
def test_quotas_differ_in_a_fixed_number_of_records(alpha_0, alpha_1, n):
    counts = [largest_remainder(n * world_law(TABLE, alpha, label_rate=[0.3, 0.4, 0.3])) for alpha in (alpha_0, alpha_1)]
    found = coupled_quotas(*counts)
    shared = int(np.minimum(*counts).sum())
    assert (found.n_pairs, found.chance) == (n - shared, 1.0)
    assert found.mean <= n * abs(alpha_1 - alpha_0) + counts[0].size
    assert coupled_quotas(*reversed(counts)) == found


def test_samples_in_one_order_of_each_cell_share_the_rest(rng):
    """The coupling of the proof: each world takes the first records of each cell, and one common order of places."""
    counts = [largest_remainder(50 * world_law(TABLE, alpha)) for alpha in (0.5, 0.1)]
    orders = [rng.permutation(200) + 1000 * cell for cell in range(TABLE.size)]
    first, second = ({int(r) for order, n in zip(orders, count.ravel(), strict=True) for r in order[:n]} for count in counts)
    assert len(first) == len(second) == 50
    assert len(first - second) == coupled_quotas(*counts).n_pairs


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: coupled_draws([[0.5, 0.5]], [[0.5, 0.4]], 10), "probabilities of the same cells"),
        (lambda: coupled_draws([[0.5, 0.5]], [[1.0]], 10), "probabilities of the same cells"),
        (lambda: coupled_draws([[1.5, -0.5]], [[0.5, 0.5]], 10), "probabilities of the same cells"),
        (lambda: coupled_quotas([[5, 5]], [[5, 4]]), "got 10 and 9 records"),
        (lambda: coupled_quotas([[5, 5]], [[10]]), "the same cells"),
        (lambda: Coupling(-1, 0.5), "n_pairs"),
        (lambda: Coupling(1, 1.5), "chance"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
