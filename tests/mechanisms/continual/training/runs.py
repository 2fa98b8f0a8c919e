"""Small Opacus runs with correlated noise, for the tests of this folder."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from opacus import PrivacyEngine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from mechanisms.continual.training.opacus_optimizer import correlated_noise
from mechanisms.errors import InsecureNoiseWarning
from mechanisms.noise.source import SeededNoise

DELTA = 1e-5
MECHANISMS = ["identity", "square_root", "banded_inverse", "buffered_toeplitz", "scaled_square_root"]


class Run:
    """A linear model without bias on zero records: gradients of the loss are zero, so noisy gradients are the noise."""

    def __init__(self, *, seed: int | None = 3, lr=0.1, inner=None, loader=None, private=None, dim=40, zeros=True, **options):
        x = torch.zeros(12, dim) if zeros else torch.linspace(-1, 1, 12 * dim).reshape(12, dim)
        self.data = TensorDataset(x, torch.zeros(12, 1))
        self.net = nn.Linear(dim, 1, bias=False)
        nn.init.zeros_(self.net.weight)
        self.engine = PrivacyEngine()
        made = inner(self.net.parameters()) if inner else torch.optim.SGD(self.net.parameters(), lr=lr)
        settings = {"noise_multiplier": 1.0, "max_grad_norm": 2.0, "poisson_sampling": False} | (private or {})
        served = DataLoader(self.data, batch_size=3) if loader is None else loader(self.data)
        self.private, self.plain, served = self.engine.make_private(module=self.net, optimizer=made, data_loader=served, **settings)
        noise = None if seed is None else SeededNoise(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InsecureNoiseWarning)
            wanted = {"n_steps": 12, "noise_multiplier": 1.5, "mechanism": "banded_inverse"} | options
            self.optimizer, self.loader = correlated_noise(self.engine, self.plain, served, noise=noise, **wanted)

    def step(self, batch: torch.Tensor) -> np.ndarray:
        self.optimizer.zero_grad()
        self.private(batch).mean().backward()
        self.optimizer.step()
        return self.net.weight.grad.detach().numpy().copy()

    def epochs(self, n: int) -> np.ndarray:
        return np.array([self.step(x)[0] for _ in range(n) for x, _ in self.loader])


def fresh_engine(engine: PrivacyEngine, **private):
    net = nn.Linear(4, 1)
    settings = {"noise_multiplier": 1.0, "max_grad_norm": 1.0, "poisson_sampling": False} | private
    made = engine.make_private(
        module=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.1),
        data_loader=DataLoader(TensorDataset(torch.zeros(12, 4), torch.zeros(12, 1)), batch_size=3),
        **settings,
    )
    return made[1], made[-1]
