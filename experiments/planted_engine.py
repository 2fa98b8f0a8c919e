"""Real Opacus runs on digits, sound or with one planted bug: what the conformance tests must pass and what they must find.

900 records, sample rate 1/15, noise multiplier 1, 200 steps, an MLP 64-128-10. Each bug is planted in the objects that `make_private`
returned, as it would be in a user's code: nothing in the probe knows of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from opacus import PrivacyEngine
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from attacks.canaries.engine import accountant_of
from attacks.canaries.probe import CanaryProbe

RECORDS = 900
BATCHES = 15
STEPS = 200


@dataclass(frozen=True, slots=True)
class Setting:
    """One run: which optimizer, which bug, how many steps."""

    bug: str = "none"
    optimizer: str = "sgd"
    steps: int = STEPS
    noise_multiplier: float = 1.0
    readout: str = "auto"


def digits() -> TensorDataset:
    """Return the first 900 of scikit-learn's handwritten digits."""
    images, labels = load_digits(return_X_y=True)
    return TensorDataset(torch.tensor(images[:RECORDS] / 16, dtype=torch.float32), torch.tensor(labels[:RECORDS]))


def network() -> nn.Module:
    """Return an MLP 64-128-10."""
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def train(probe: CanaryProbe | None, setting: Setting, data: TensorDataset | None = None) -> None:
    """Train once, with the canaries of a probe (or without one) and the planted bug."""
    net: Any = network()
    records: Any = digits() if data is None else data
    if probe is not None:
        net, records = probe.wrap(net, records)
    optimizer = _optimizer(setting.optimizer, net)
    loader = DataLoader(records, batch_size=-(-len(records) // BATCHES), shuffle=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Secure RNG turned off")
        engine = PrivacyEngine()
    net, optimizer, loader = engine.make_private(
        module=net,
        optimizer=optimizer,
        data_loader=loader,
        noise_multiplier=setting.noise_multiplier,
        max_grad_norm=1.0,
        poisson_sampling=setting.bug != "shuffled",
    )
    BUGS[setting.bug](optimizer, loader)
    if probe is not None:
        probe.attach(optimizer, loader, readout=setting.readout)
    _loop(net, optimizer, loader, setting)


def _optimizer(name: str, net: nn.Module) -> torch.optim.Optimizer:
    if name == "adam":
        return torch.optim.Adam(net.parameters(), lr=1e-3)
    return torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.9 if name == "momentum" else 0.0)


def _loop(net: nn.Module, optimizer: Any, loader: Any, setting: Setting) -> None:
    loss, done = nn.CrossEntropyLoss(), 0
    while done < setting.steps:
        for inputs, labels in loader:
            optimizer.zero_grad()
            if setting.bug == "divided_by_actual_batch_size":
                optimizer.actual_batch_size = max(1, len(inputs))
            loss(net(inputs), labels).backward()
            optimizer.step()
            done += 1
            if done == setting.steps:
                break


Bug = Callable[[Any, Any], None]


def _scaled_noise(factor: float) -> Bug:
    def plant(optimizer: Any, loader: Any) -> None:
        """The noise is `factor` times what the optimizer's attribute and the accountant say."""
        add_noise = optimizer.add_noise

        def broken() -> None:
            honest = optimizer.noise_multiplier
            optimizer.noise_multiplier = honest * factor
            add_noise()
            optimizer.noise_multiplier = honest

        optimizer.add_noise = broken

    return plant


def _reused_noise(period: int) -> Bug:
    def plant(optimizer: Any, loader: Any) -> None:
        """The noise generator starts again every `period` steps."""
        generator = torch.Generator()
        start = generator.seed()
        optimizer.generator = generator
        add_noise, calls = optimizer.add_noise, [0]

        def broken() -> None:
            if calls[0] % period == 0:
                generator.manual_seed(start)
            calls[0] += 1
            add_noise()

        optimizer.add_noise = broken

    return plant


def _unclipped(optimizer: Any, loader: Any) -> None:
    """Per-record gradients are summed as they are."""

    def broken() -> None:
        for p in optimizer.params:
            p.summed_grad = optimizer._get_flat_grad_sample(p).sum(dim=0)
            p.grad_sample._processed = True

    optimizer.clip_and_accumulate = broken


def _faster_sampling(optimizer: Any, loader: Any) -> None:
    """The sampler draws 1.5 times as often as the accountant is told."""
    loader.batch_sampler.sample_rate *= 1.5


def _actual_batch_size(optimizer: Any, loader: Any) -> None:
    """The noisy sum is divided by the number of records drawn, not by its expectation."""

    def broken() -> None:
        for p in optimizer.params:
            p.grad /= optimizer.actual_batch_size

    optimizer.scale_grad = broken


def _accountant_told(*, sigma: float = 1.0, rate: float = 1.0) -> Bug:
    def plant(optimizer: Any, loader: Any) -> None:
        """The accountant hears a noise multiplier or a sample rate that the engine does not use."""
        accountant: Any = accountant_of(optimizer)
        honest = accountant.step

        def broken(*, noise_multiplier: float, sample_rate: float) -> None:
            honest(noise_multiplier=noise_multiplier * sigma, sample_rate=sample_rate * rate)

        accountant.step = broken

    return plant


def _sound(optimizer: Any, loader: Any) -> None:
    """Nothing is planted."""


BUGS: dict[str, Bug] = {
    "none": _sound,
    "noise_x_0.5": _scaled_noise(0.5),
    "noise_x_0.9": _scaled_noise(0.9),
    "noise_reused_each_step": _reused_noise(1),
    "noise_reused_each_epoch": _reused_noise(BATCHES),
    "no_clipping": _unclipped,
    "shuffled": _sound,  # planted by poisson_sampling=False
    "rate_x_1.5": _faster_sampling,
    "divided_by_actual_batch_size": _actual_batch_size,
    "weights_read_under_momentum": _sound,  # planted by readout="weights" under momentum
    "accountant_sigma": _accountant_told(sigma=1.5),
    "accountant_rate": _accountant_told(rate=0.5),
}

# What must be found, and by whom: at least one of these tests fails.
FOUND_BY: dict[str, tuple[str, ...]] = {
    "noise_x_0.5": ("noise_scale",),
    "noise_x_0.9": ("noise_scale",),
    "noise_reused_each_step": ("step_pairs",),
    "noise_reused_each_epoch": ("step_pairs",),
    "no_clipping": ("clip", "log_clip"),
    "shuffled": ("poisson", "log_epoch", "batch_sizes"),
    "rate_x_1.5": ("rate", "log_rate"),
    "divided_by_actual_batch_size": ("step_var",),
    "weights_read_under_momentum": ("readout", "noise_scale", "step_pairs", "lags", "step_var"),
    "accountant_sigma": ("accountant",),
    "accountant_rate": ("accountant",),
}


def setting_for(bug: str, *, steps: int = STEPS) -> Setting:
    """Return the run that plants a bug."""
    if bug == "weights_read_under_momentum":
        return Setting(bug=bug, optimizer="momentum", readout="weights", steps=steps)
    return Setting(bug=bug, steps=steps)
