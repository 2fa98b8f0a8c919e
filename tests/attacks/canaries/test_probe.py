"""The probe inside real Opacus runs on digits."""

import copy
import pickle

import numpy as np
import pytest
import torch
from opacus import PrivacyEngine
from opacus.utils.batch_memory_manager import BatchMemoryManager
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from attacks.canaries.probe import CanaryProbe
from experiments.planted_engine import Setting, train
from mechanisms.errors import InsufficientEvidenceError, PrivacyAuditError, UnsupportedClaimError


def small_engine(probe, *, loss=None, lr=0.5, batch_size=40, optimizer=None, steps_hook=None, ghost=False, **private):
    """A run of one epoch on random records; returns the engine's parts before training and a function that trains."""
    x, y = torch.rand(200, 6), torch.randint(0, 3, (200,))
    net, data = probe.wrap(nn.Linear(6, 3), TensorDataset(x, y))
    inner = torch.optim.SGD(net.parameters(), lr=lr) if optimizer is None else optimizer(net)
    settings = {"noise_multiplier": 1.0, "max_grad_norm": 1.0} | private
    criterion = loss or nn.CrossEntropyLoss()
    made = PrivacyEngine().make_private(
        module=net,
        optimizer=inner,
        data_loader=DataLoader(data, batch_size=batch_size),
        criterion=criterion,
        **({"grad_sample_mode": "ghost"} if ghost else {}),
        **settings,
    )
    net, opt, loader = made[0], made[1], made[-1]
    criterion = made[2] if ghost else criterion

    def run(epochs: int = 1) -> None:
        for _ in range(epochs):
            for inputs, labels in loader:
                opt.zero_grad()
                criterion(net(inputs), labels).backward()
                opt.step()

    return opt, loader, run


def test_auc_on_digits(rng):  # four runs, sd of the mean 0.0075: false alarm 1e-7 (all steps), 2e-9 (final weights)
    scores = []
    for child in rng.spawn(4):
        probe = CanaryProbe(1000, rng=child)
        train(probe, Setting())
        result = probe.result()
        scores.append([result.scores["all_steps"].auc, result.scores["final_weights"].auc])
        assert result.readout == "weights"
        assert result.claimed.steps == result.steps == 200
        assert result.claimed.sample_rate == pytest.approx(1 / 15)
    all_steps, final = np.mean(scores, axis=0)
    assert abs(all_steps - 0.787) < 0.04
    assert abs(final - 0.743) < 0.045
    assert all_steps > final


def test_without_noise_the_signals_are_the_coins(rng):
    """With almost no noise, signals are exactly what the batch log says: 1 where a canary entered, 0 elsewhere."""
    probe = CanaryProbe(50, rng=rng)
    opt, loader, run = small_engine(probe, noise_multiplier=1e-6)
    probe.attach(opt, loader)
    run()
    result = probe.result()
    assert result.batch_log is not None
    np.testing.assert_allclose(result.signals, result.batch_log.canary_in, atol=1e-4)
    assert not result.batch_log.canary_in[:, ~result.member].any()


def test_both_readouts_agree_under_a_schedule_of_learning_rates(rng):
    signals = {}
    for readout in ("weights", "gradient"):
        probe = CanaryProbe(50, rng=7)
        opt, loader, run = small_engine(probe)
        schedule = torch.optim.lr_scheduler.ExponentialLR(opt.original_optimizer, 0.5)
        probe.attach(opt, loader, readout=readout)
        for _ in range(3):
            run()
            schedule.step()
        result = probe.result()
        assert result.readout == readout
        assert result.readout_gap is not None
        assert result.readout_gap < 1e-4
        signals[readout] = result.signals
    assert signals["weights"].shape == signals["gradient"].shape


@pytest.mark.parametrize(
    "make", [lambda n: torch.optim.Adam(n.parameters()), lambda n: torch.optim.SGD(n.parameters(), lr=0.1, weight_decay=0.1)]
)
def test_other_optimizers_are_read_from_the_noisy_gradient(make, rng):
    probe = CanaryProbe(50, rng=rng)
    opt, loader, run = small_engine(probe, optimizer=make)
    probe.attach(opt, loader)
    run()
    assert probe.result().readout == "gradient"


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_loss_reductions_give_the_same_signals(reduction, rng):
    probe = CanaryProbe(50, rng=rng)
    loss = nn.CrossEntropyLoss(reduction=reduction)
    opt, loader, run = small_engine(probe, loss=loss, loss_reduction=reduction, lr=1e-3, noise_multiplier=1e-6)
    probe.attach(opt, loader)
    run()
    result = probe.result()
    np.testing.assert_allclose(result.signals, result.batch_log.canary_in, atol=1e-3)


def test_ghost_clipping_is_read_too(rng):
    probe = CanaryProbe(50, rng=rng)
    opt, loader, run = small_engine(probe, ghost=True, noise_multiplier=1e-6)
    probe.attach(opt, loader)
    run()
    result = probe.result()
    np.testing.assert_allclose(result.signals, result.batch_log.canary_in, atol=1e-3)


def test_split_batches_count_as_one_step(rng):
    probe = CanaryProbe(50, rng=rng)
    opt, loader, _ = small_engine(probe, noise_multiplier=1e-6)
    probe.attach(opt, loader)
    net, loss = probe.module, nn.CrossEntropyLoss()
    with BatchMemoryManager(data_loader=loader, max_physical_batch_size=16, optimizer=opt) as split:
        for inputs, labels in split:
            opt.zero_grad()
            loss(net(inputs), labels).backward()
            opt.step()
    result = probe.result()
    assert result.steps == result.claimed.steps == len(loader)
    np.testing.assert_allclose(result.signals, result.batch_log.canary_in, atol=1e-3)


def test_the_accountant_keeps_counting(rng):
    probe = CanaryProbe(20, rng=rng)
    opt, loader, run = small_engine(probe)
    probe.attach(opt, loader)
    run(2)
    result = probe.result()
    assert result.claimed.steps == result.steps == 2 * len(loader)


def test_an_accountant_that_was_cut_off_is_seen(rng):
    probe = CanaryProbe(20, rng=rng)
    opt, loader, run = small_engine(probe)
    opt.attach_step_hook(lambda optimizer: None)
    probe.attach(opt, loader)
    run()
    assert probe.result().claimed.steps == 0
    assert "no_accountant" in [finding.name for finding in probe.findings]


def test_the_users_weights_get_no_gradient_from_canaries(rng):
    """Without noise and with every canary in, a step moves the user's weights as a step without canaries does."""
    x, y = torch.rand(40, 6), torch.randint(0, 3, (40,))
    user = nn.Linear(6, 3)
    before = {name: p.detach().clone() for name, p in user.named_parameters()}
    grads = []
    for with_probe in (True, False):
        user.load_state_dict(before)
        net, data = user, TensorDataset(x, y)
        probe = CanaryProbe(30, rng=3)
        if with_probe:
            net, data = probe.wrap(net, data)
        engine = PrivacyEngine()
        net, opt, loader = engine.make_private(
            module=net,
            optimizer=torch.optim.SGD(net.parameters(), lr=1.0),
            data_loader=DataLoader(data, batch_size=len(data)),
            noise_multiplier=0.0,
            max_grad_norm=1.0,
            poisson_sampling=False,
        )
        opt.expected_batch_size = 40
        for inputs, labels in loader:
            nn.CrossEntropyLoss()(net(inputs), labels).backward()
            opt.step()
        grads.append(user.weight.detach() - before["weight"])
        if not with_probe:
            net.remove_hooks()
        else:
            net.remove_hooks()
    assert torch.allclose(*grads, atol=1e-6)


def test_coins_are_fair_and_independent_of_the_number_asked(rng):  # false alarm 6e-7
    member = CanaryProbe(100_000, rng=rng).member
    assert abs(member.mean() - 0.5) < 5 * 0.5 / np.sqrt(100_000)
    assert abs(np.corrcoef(member[1:], member[:-1])[0, 1]) < 5 / np.sqrt(100_000)


def test_results_are_frozen_also_after_copying(rng):
    probe = CanaryProbe(20, rng=rng)
    opt, loader, run = small_engine(probe)
    probe.attach(opt, loader)
    run()
    for result in (probe.result(), copy.deepcopy(probe.result()), pickle.loads(pickle.dumps(probe.result()))):
        for array in (result.signals, result.member, result.displacement, result.batch_log.canary_in):
            assert not array.flags.writeable
        assert np.array_equal(result.signals, probe.result().signals)


class TestRefusals:
    def test_wrong_order(self, rng):
        probe = CanaryProbe(20, rng=rng)
        with pytest.raises(PrivacyAuditError, match="before probe.attach"):
            probe.attach(None, None)
        with pytest.raises(PrivacyAuditError, match="before probe.result"):
            probe.result()
        opt, loader, run = small_engine(probe)
        with pytest.raises(PrivacyAuditError, match="used before"):
            probe.wrap(nn.Linear(6, 3), TensorDataset(torch.rand(3, 6)))
        probe.attach(opt, loader)
        with pytest.raises(PrivacyAuditError, match="attached already"):
            probe.attach(opt, loader)
        with pytest.raises(InsufficientEvidenceError, match="no optimizer step"):
            probe.result()
        del run

    def test_attach_after_the_first_step(self, rng):
        probe = CanaryProbe(20, rng=rng)
        opt, loader, run = small_engine(probe)
        run()
        with pytest.raises(PrivacyAuditError, match="before the first step"):
            probe.attach(opt, loader)

    def test_an_optimizer_of_another_module(self, rng):
        other = CanaryProbe(20, rng=rng)
        opt, loader, _ = small_engine(other)
        probe = CanaryProbe(20, rng=rng)
        small_engine(probe)
        with pytest.raises(ValueError, match="does not train the phantom weights"):
            probe.attach(opt, loader)

    def test_a_loader_without_canaries(self, rng):
        probe = CanaryProbe(20, rng=rng)
        opt, _, _ = small_engine(probe)
        with pytest.raises(ValueError, match="does not serve the data set"):
            probe.attach(opt, DataLoader(TensorDataset(torch.rand(3, 6)), batch_size=2))

    def test_an_optimizer_that_is_not_private(self, rng):
        probe = CanaryProbe(20, rng=rng)
        _, loader, _ = small_engine(probe)
        with pytest.raises(TypeError, match="make_private"):
            probe.attach(torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0), loader)

    def test_per_layer_clipping(self, rng):
        probe = CanaryProbe(20, rng=rng)
        opt, loader, _ = small_engine(probe, clipping="per_layer", max_grad_norm=[1.0, 1.0, 1.0])
        with pytest.raises(UnsupportedClaimError, match="flat clipping"):
            probe.attach(opt, loader)

    def test_noise_that_changes_during_the_run(self, rng):
        probe = CanaryProbe(20, rng=rng)
        opt, loader, run = small_engine(probe)
        probe.attach(opt, loader)
        run()
        opt.noise_multiplier = 2.0
        run()
        with pytest.raises(UnsupportedClaimError, match="changed during the run"):
            probe.result()

    def test_a_clipping_norm_that_changes(self, rng):
        probe = CanaryProbe(20, rng=rng)
        opt, loader, run = small_engine(probe)
        probe.attach(opt, loader)
        run()
        opt.max_grad_norm = 2.0
        run()
        with pytest.raises(UnsupportedClaimError, match="clipping norm changed"):
            probe.result()

    def test_weights_cannot_be_read_at_learning_rate_zero(self, rng):
        probe = CanaryProbe(20, rng=rng)
        opt, loader, run = small_engine(probe, lr=0.0)
        probe.attach(opt, loader, readout="weights")
        run()
        with pytest.raises(UnsupportedClaimError, match="learning rate is 0"):
            probe.result()

    def test_a_loss_that_does_not_pull(self, rng):
        class Flat(nn.Module):
            def forward(self, outputs, labels):
                return (outputs**2).sum() / len(outputs)

        probe = CanaryProbe(50, rng=rng)
        opt, loader, run = small_engine(probe, loss=Flat())
        probe.attach(opt, loader)
        run()
        with pytest.raises(InsufficientEvidenceError, match="less than the clipping norm"):
            probe.result()

    @pytest.mark.parametrize("n", [0, 1, -3, 2.5, 100_001, float("nan")])
    def test_numbers_of_canaries(self, n):
        with pytest.raises(ValueError, match="n_canaries"):
            CanaryProbe(n)

    def test_unknown_readout(self, rng):
        probe = CanaryProbe(20, rng=rng)
        with pytest.raises(ValueError, match="'auto', 'weights', 'gradient'"):
            probe.attach(None, None, readout="momentum")
