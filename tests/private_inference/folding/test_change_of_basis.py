from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mechanisms.errors import FoldingError
from private_inference.folding.change_of_basis import plan_bases
from private_inference.folding.conditioning import condition_number


def random_maps(n_layer: int, rng: np.random.Generator, spread: float = 0.3) -> list[torch.Tensor]:
    return [torch.eye(5, dtype=torch.float64) + spread * torch.from_numpy(rng.standard_normal((5, 5))) for _ in range(n_layer)]


@settings(max_examples=50)
@given(n_layer=st.integers(1, 6), seed=st.integers(0, 2**32), limit=st.sampled_from([3.0, 10.0, 100.0, 1e6]))
def test_bases_carry_the_stream_through_the_maps(n_layer: int, seed: int, limit: float):
    maps = random_maps(n_layer, np.random.default_rng(seed))
    try:
        plan = plan_bases(maps, limit)
    except FoldingError:
        return
    identity = torch.eye(5, dtype=torch.float64)
    reading = [layer.basis.read(identity) for layer in plan.layers]
    writing = [layer.basis.write(identity) for layer in plan.layers]
    tight = {"rtol": 1e-9, "atol": 1e-9}
    torch.testing.assert_close(plan.start, writing[0], **tight)  # R = X P_0^{-1}
    for layer, matrix in enumerate(maps):
        torch.testing.assert_close(reading[layer] @ writing[layer], identity, **tight)
        assert plan.layers[layer].of_basis == pytest.approx(condition_number(reading[layer]), rel=1e-6)
        assert plan.layers[layer].of_basis <= limit
        if layer + 1 < n_layer:  # X' = R' P' must be R P M
            product = identity if plan.layers[layer].product is None else plan.layers[layer].product
            torch.testing.assert_close(product @ reading[layer + 1], reading[layer] @ matrix, **tight)
    torch.testing.assert_close(plan.end, reading[-1] @ maps[-1], **tight)


def fewest_segments(maps: list[torch.Tensor], limit: float) -> tuple[int, float]:
    """All ways to cut, all references, one by one."""
    n = len(maps)
    table = np.ones((n, n))
    for i, j in combinations(range(n), 2):
        table[i, j] = table[j, i] = condition_number(torch.linalg.multi_dot(maps[i:j]) if j > i + 1 else maps[i])
    found = []
    for n_cuts in range(n):
        for cuts in combinations(range(1, n), n_cuts):
            ends = [0, *cuts, n]
            worst = [min(max(table[m, k] for k in range(a, b)) for m in range(a, b)) for a, b in pairwise(ends)]
            if max(worst) <= limit:
                found.append((n_cuts + 1, max(worst)))
    return min(found)


def test_segments_are_the_fewest_and_best(rng: np.random.Generator):
    for limit in (4.0, 8.0, 30.0):
        maps = random_maps(6, rng)
        n_segments, worst = fewest_segments(maps, limit)
        if n_segments == len(maps):
            continue
        layers = plan_bases(maps, limit).layers
        assert layers[-1].segment + 1 == n_segments
        assert max(layer.of_basis for layer in layers) == pytest.approx(worst, rel=1e-9)


def test_a_reference_in_the_middle_takes_the_square_root(rng: np.random.Generator):
    stretch = torch.diag(torch.tensor([4.0, 1.0, 1.0, 1.0, 1.0], dtype=torch.float64))
    layers = plan_bases([stretch] * 8, 4.0**4).layers
    assert [layer.running for layer in layers] == pytest.approx([4.0**k for k in range(1, 9)])
    assert max(layer.of_basis for layer in layers) == pytest.approx(4.0**4)  # P_0 = I would need 4^7
    assert {layer.segment for layer in layers} == {0}


def test_maps_that_are_only_turns_cost_nothing(rng: np.random.Generator):
    turns = [torch.linalg.qr(torch.from_numpy(rng.standard_normal((5, 5))))[0] for _ in range(4)]
    layers = plan_bases(turns, 1 + 1e-9).layers
    assert all(layer.product is None for layer in layers)
