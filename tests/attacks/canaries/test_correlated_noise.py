"""The probe of runs with correlated noise: what it reads, its likelihood, and audits of honest and broken engines.

An audit plays one run with 1,000 or 6,000 canaries, each with a place of its own in the batches and a fair coin. Its bound has the level
0.999 and uses every canary once; scores of different canaries have independent noise. An honest run at the claim is flagged once in 1,000
at most.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from opacus import PrivacyEngine
from scipy import stats
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from attacks.canaries.correlated_noise import CorrelatedNoiseProbe, CorrelatedNoiseResult, correlated_log_likelihood_ratio
from attacks.canaries.preflight import preflight
from attacks.canaries.probe import CanaryProbe
from mechanisms.continual.training.opacus_optimizer import CorrelatedNoiseOptimizer, correlated_noise
from mechanisms.continual.training.schedule import Participation, schedule_sensitivity
from mechanisms.continual.training.training_noise import TrainingNoise
from mechanisms.errors import InsecureNoiseWarning, UnsupportedClaimError
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.noise.source import SeededNoise
from privacy_audit.estimate.thresholds import audit_scores

EPOCHS, RECORDS = 4, 20
DELTA, LEVEL = 1e-2, 0.999
Tamper = Callable[[CorrelatedNoiseOptimizer], None]


def train(
    rng: np.random.Generator, *, tamper: Tamper | None = None, n_canaries: int = 1000, n_batches: int = 5, **options: object
) -> tuple[CorrelatedNoiseResult, PrivacyGuarantee]:
    """Train a linear model on random records with canaries; `tamper` breaks the optimizer after its claim was made."""
    probe = CorrelatedNoiseProbe(n_canaries, rng=rng)
    net, data = probe.wrap(nn.Linear(6, 3), TensorDataset(torch.rand(RECORDS, 6), torch.randint(0, 3, (RECORDS,))))
    engine = PrivacyEngine()
    order = rng.permutation(len(data)).tolist()
    net, optimizer, loader = engine.make_private(
        module=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.05),
        data_loader=DataLoader(data, sampler=order, batch_size=-(-len(data) // n_batches)),
        noise_multiplier=1.0,
        max_grad_norm=0.5,
        poisson_sampling=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureNoiseWarning)
        noise = SeededNoise(int(rng.integers(2**32)))
        wanted = {"n_steps": EPOCHS * n_batches, "epsilon": 2.0, "delta": DELTA, "mechanism": "buffered_toeplitz"} | options
        optimizer, loader = correlated_noise(engine, optimizer, loader, noise=noise, **wanted)
    probe.attach(optimizer, loader)
    claim = engine.accountant.guarantee(DELTA)
    if tamper is not None:
        tamper(optimizer)
    for epoch in range(EPOCHS):
        optimizer.param_groups[0]["lr"] = 0.05 * 2**epoch
        for x, y in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
    return replace(probe.correlated_result(), design=optimizer.design), claim  # a broken engine is scored by the noise that it really adds


def bound(result: CorrelatedNoiseResult, rng: np.random.Generator) -> float:
    scores = result.scores["all_steps"]
    return audit_scores(scores, delta=DELTA, level=LEVEL, neighboring=Neighboring.ZERO_OUT, rng=rng).epsilon


def noise_times(factor: float) -> Tamper:
    """Draw noise times a factor: what the accountant is told stays the same."""

    def tamper(optimizer: CorrelatedNoiseOptimizer) -> None:
        optimizer.noise.design = replace(optimizer.noise.design, gain=optimizer.noise.design.gain * factor)

    return tamper


def once(design: TrainingNoise) -> float:
    return schedule_sensitivity(design.noise_filter, design.scale, design.gain, Participation(1))


def pays_for_one_epoch(optimizer: CorrelatedNoiseOptimizer) -> None:
    design = optimizer.design
    noise_times(once(design) / design.sensitivity)(optimizer)


def noise_of_the_first_rate(optimizer: CorrelatedNoiseOptimizer) -> None:
    """Noise on the weights, scaled by the first learning rate while the rate doubles in every epoch."""
    falling = np.repeat(0.5 ** np.arange(EPOCHS), optimizer.design.n_steps // EPOCHS)
    optimizer.noise.design = replace(optimizer.noise.design, gain=optimizer.noise.design.gain * falling)


@pytest.mark.parametrize("mechanism", ["identity", "buffered_toeplitz", "scaled_square_root"])
@pytest.mark.parametrize("n_batches", [1, 5], ids=["full batch", "fixed order"])
def test_an_honest_run_shows_no_more_than_it_claims(mechanism: str, n_batches: int, rng: np.random.Generator):
    result, claim = train(rng, mechanism=mechanism, n_batches=n_batches)
    shown = bound(result, rng)
    assert claim.epsilon == pytest.approx(2.0, rel=1e-6)
    assert shown <= claim.epsilon
    assert shown > 0.2, "the audit is no straw man"


@pytest.mark.parametrize("tamper", [noise_times(0.5), pays_for_one_epoch, noise_of_the_first_rate], ids=["half", "one epoch", "first rate"])
def test_broken_engines_are_caught(tamper: Tamper, rng: np.random.Generator):
    """Bounds of the weakest of them, half the noise, are 3.05 +- 0.2 at a claim of 2."""
    result, claim = train(rng, tamper=tamper, n_canaries=6000)
    assert bound(result, rng) > claim.epsilon


def test_without_noise_the_signals_are_the_places_of_the_members(rng: np.random.Generator):
    result, _ = train(rng, n_canaries=40, noise_multiplier=1e-5, epsilon=None, delta=None)
    np.testing.assert_allclose(result.run.signals, result.took_part & result.member, atol=1e-3)
    assert (result.took_part.sum(axis=0) == EPOCHS).all(), "canaries that are out keep their places"
    assert result.run.clipped_length == pytest.approx(1.0, abs=1e-3)


def test_scores_are_those_of_a_gaussian_pair(rng: np.random.Generator):
    """LLR of members and others: normal with mean +- mu^2/2 and variance mu^2 of each pattern; Kolmogorov-Smirnov, false alarm 1e-6."""
    result, _ = train(rng, n_canaries=2000)
    m, R = result.noise_multiplier, result.design.right_matrix()
    mu = np.linalg.norm(R @ result.took_part, axis=0) / m
    assert mu.max() == pytest.approx(result.design.sensitivity / m, rel=1e-9), "the most exposed pattern shows the whole claim"
    llr = correlated_log_likelihood_ratio(result.run.signals, result.took_part, right=R, noise_multiplier=m)
    z = llr / mu + np.where(result.member, -mu, mu) / 2
    assert stats.kstest(z, "norm").pvalue > 1e-6
    broken, _ = train(rng, n_canaries=2000, tamper=noise_times(0.7))
    llr = correlated_log_likelihood_ratio(broken.run.signals, broken.took_part, right=R, noise_multiplier=m)
    assert stats.kstest(llr / mu + np.where(broken.member, -mu, mu) / 2, "norm").pvalue < 1e-6


def test_the_ratio_is_the_ratio_of_densities(rng: np.random.Generator):
    R = np.tril(rng.uniform(0.1, 1, (6, 6)))
    took_part, signals, m = rng.random((6, 9)) < 0.5, rng.normal(size=(6, 9)), 0.7
    covariance = m**2 * np.linalg.inv(R) @ np.linalg.inv(R).T
    pairs = [(signals[:, j], took_part[:, j].astype(float)) for j in range(9)]
    oracle = [stats.multivariate_normal.logpdf(s, u, covariance) - stats.multivariate_normal.logpdf(s, 0 * u, covariance) for s, u in pairs]
    np.testing.assert_allclose(correlated_log_likelihood_ratio(signals, took_part, right=R, noise_multiplier=m), oracle, rtol=1e-8)


def test_each_probe_refuses_the_others_noise(rng: np.random.Generator):
    with pytest.raises(UnsupportedClaimError, match="CorrelatedNoiseProbe"):
        _attached(CanaryProbe(20, rng=rng), correlated=True)
    with pytest.raises(UnsupportedClaimError, match="CanaryProbe"):
        _attached(CorrelatedNoiseProbe(20, rng=rng), correlated=False)


def test_preflight_knows_correlated_noise(rng: np.random.Generator):
    """No word about Poisson sampling or the size of the data set, which ZERO_OUT doesn't hide; a seed is still a finding."""
    assert [finding.name for finding in _attached(CorrelatedNoiseProbe(20, rng=rng), correlated=True).findings] == ["seeded_noise"]


def _attached(probe: CanaryProbe, *, correlated: bool) -> CanaryProbe:
    net, data = probe.wrap(nn.Linear(6, 3), TensorDataset(torch.rand(20, 6), torch.randint(0, 3, (20,))))
    engine = PrivacyEngine()
    made = {"noise_multiplier": 1.0, "max_grad_norm": 1.0, "poisson_sampling": False}
    loader = DataLoader(data, batch_size=8)
    net, optimizer, loader = engine.make_private(
        module=net, optimizer=torch.optim.SGD(net.parameters(), lr=0.1), data_loader=loader, **made
    )
    if correlated:
        with pytest.warns(InsecureNoiseWarning):
            optimizer, loader = correlated_noise(engine, optimizer, loader, n_steps=4, noise_multiplier=1.0, noise=SeededNoise(1))
    probe.attach(optimizer, loader)
    assert preflight(optimizer, loader, net) == probe.findings
    return probe
