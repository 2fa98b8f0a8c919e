"""Static checks: each finding on an engine that has the fault, none on one that has not."""

import math

import numpy as np
import pytest
import torch
from opacus import PrivacyEngine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from attacks.canaries.engine import accountant_of
from attacks.canaries.preflight import normalizer_mu, opacus_normalizer, preflight
from mechanisms.errors import UnsupportedClaimError


def engine(n=965, batch_size=64, **settings):
    net = nn.Linear(64, 10)
    data = TensorDataset(torch.rand(n, 64), torch.randint(0, 10, (n,)))
    return PrivacyEngine().make_private(
        module=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.1),
        data_loader=DataLoader(data, batch_size=batch_size),
        **({"noise_multiplier": 1.0, "max_grad_norm": 1.0} | settings),
    )


def names(findings):
    return [finding.name for finding in findings]


def check(made, **settings):
    module, optimizer, loader = made
    return preflight(optimizer, loader, module, **settings)


def test_a_sound_engine_has_no_findings():
    assert check(engine()) == []


def test_the_normalizer_that_depends_on_n():
    assert opacus_normalizer(959, 64) == (63, 15)
    assert opacus_normalizer(960, 64) == (64, 15)
    for n in (959, 960):
        findings = check(engine(n=n), steps=1)
        assert names(findings) == ["normalizer_depends_on_n"]
        assert findings[0].severity == "error"
        assert "959 records give 63" in findings[0].message or "960 records give 64" in findings[0].message
    assert check(engine(n=960), fixed_normalizer=True) == []


def test_a_normalizer_set_by_hand_is_no_finding():
    module, optimizer, loader = engine(n=960)
    optimizer.expected_batch_size = 60
    assert preflight(optimizer, loader, module) == []


def test_a_summed_loss_has_no_normalizer():
    assert check(engine(n=960, loss_reduction="sum")) == []


def test_mu_of_two_normalizers_against_simulation(rng):
    """Spec figure 2.183; the log-likelihood ratio of two scales separates like a Gaussian pair of that mu."""
    mu = normalizer_mu(63, 64, n_parameters=9610, steps=1)
    assert mu == pytest.approx(2.183, abs=5e-4)
    scale, n, d = 64 / 63, 4000, 9610
    first, second = rng.chisquare(d, n), scale**2 * rng.chisquare(d, n)
    measured = (second.mean() - first.mean()) / math.sqrt(first.std() * second.std())
    assert abs(measured - mu) < 0.02 + 5 * math.sqrt((2 + mu**2 / 2) / n)  # false alarm 6e-7
    assert abs(measured - normalizer_mu(62, 64, n_parameters=9610, steps=1)) > 1


def test_a_shuffled_loader_under_an_accountant_of_coins():
    assert "not_poisson" in names(check(engine(poisson_sampling=False)))


def test_an_optimizer_without_accountant():
    module, optimizer, loader = engine()
    optimizer.attach_step_hook(lambda optimizer: None)
    assert accountant_of(optimizer) is None
    assert names(preflight(optimizer, loader, module)) == ["no_accountant"]


def test_a_sampler_that_draws_more_than_is_charged():
    module, optimizer, loader = engine()
    loader.batch_sampler.sample_rate *= 1.5
    assert "sample_rate_differs" in names(preflight(optimizer, loader, module))


def test_noise_seeded_by_hand():
    seeded = torch.Generator()
    seeded.manual_seed(7)
    assert names(check(engine(noise_generator=seeded))) == ["seeded_noise"]
    unseeded = torch.Generator()
    unseeded.seed()
    assert check(engine(noise_generator=unseeded)) == []


def test_layers_and_parameters():
    _, optimizer, loader = engine()
    batch_norm = nn.Sequential(nn.Linear(64, 10), nn.BatchNorm1d(10))
    found = names(preflight(optimizer, loader, batch_norm))
    assert "batch_norm" in found
    assert "not_in_the_private_optimizer" in found
    assert "no_per_record_gradients" in found


def test_gradient_accumulation():
    module, optimizer, loader = engine()
    module.allow_grad_accumulation()
    assert names(preflight(optimizer, loader, module)) == ["gradient_accumulation"]


def test_errors_stand_first():
    module, optimizer, loader = engine(poisson_sampling=False)
    module.allow_grad_accumulation()
    assert [finding.severity for finding in preflight(optimizer, loader, module)] == ["error", "warning"]


def test_refusals():
    with pytest.raises(TypeError, match="make_private"):
        preflight(torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0), None)
    _, optimizer, loader = engine(clipping="per_layer", max_grad_norm=[1.0, 1.0])
    with pytest.raises(UnsupportedClaimError, match="flat clipping"):
        preflight(optimizer, loader)
    module, optimizer, loader = engine()
    with pytest.raises(ValueError, match="steps"):
        preflight(optimizer, loader, module, steps=0)
    assert np.isfinite(normalizer_mu(1, 2, n_parameters=1, steps=1))
