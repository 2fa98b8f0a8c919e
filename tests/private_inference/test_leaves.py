"""Learnable scalars and tables: where they start, that they stay positive, and what they refuse."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from private_inference.leaves import Gain, HeadTemperature


def test_a_gain_starts_at_one_and_has_the_gradient_of_a_product():
    gain, x = Gain(), torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(gain(x), x)
    gain(x).sum().backward()
    torch.testing.assert_close(gain.gain.grad, x.sum().reshape(1))
    assert Gain(2).gain.dtype == torch.float32  # of a whole number too


@given(st.floats(1.2e-4, 1e3))
def test_the_temperature_starts_where_it_is_told(init):
    torch.testing.assert_close(HeadTemperature(3, 1, init).double().value, torch.full((3, 1), init).double(), rtol=1e-4, atol=0)


@given(st.floats(-1e6, 1e6))
def test_the_temperature_stays_positive_and_rises_with_its_parameter(raw):
    leaf = HeadTemperature(1, 2, 0.1).double()
    with torch.no_grad():
        leaf.raw.copy_(torch.tensor([[raw, raw + 1.0]]))
    low, high = leaf.value[0].tolist()
    assert 1e-4 <= low <= high < math.inf


def test_one_temperature_a_head_and_one_a_position():
    queries = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    head, table = HeadTemperature(3, 1, 0.5), HeadTemperature(3, 7, 0.5)
    with torch.no_grad():
        for leaf in (head, table):
            leaf.raw.copy_(torch.randn(leaf.raw.shape, generator=torch.Generator().manual_seed(1)))
    for b, h, i in torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(5)).tolist():
        torch.testing.assert_close(head(queries)[b, h, i], queries[b, h, i] / head.value[h, 0])
        torch.testing.assert_close(table(queries)[b, h, i], queries[b, h, i] / table.value[h, i])


def test_a_context_longer_than_the_table_is_refused():
    with pytest.raises(ValueError, match="context of 8 is longer than the temperature table of 7 positions"):
        HeadTemperature(3, 7, 0.5)(torch.zeros(1, 3, 8, 4))


@pytest.mark.parametrize("init", [0.0, -1.0, 1e-4, math.inf])
def test_a_start_that_the_parametrization_can_not_reach_is_refused(init):
    with pytest.raises(ValueError, match="init must be in"):
        HeadTemperature(2, 1, init)
