"""The probe under the models and losses that people train: with almost no noise, signals are exactly the coins of the batch log."""

import numpy as np
import pytest
import torch
from opacus import PrivacyEngine
from opacus.layers import DPLSTM
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from attacks.canaries.probe import CanaryProbe

N = 150


class TextClassifier(nn.Module):
    """Tokens to two classes through an embedding and an LSTM."""

    def __init__(self):
        super().__init__()
        self.embed, self.lstm, self.out = nn.Embedding(50, 8), DPLSTM(8, 8, batch_first=True), nn.Linear(8, 2)

    def forward(self, tokens):
        hidden, _ = self.lstm(self.embed(tokens))
        return self.out(hidden[:, -1])


def image_net():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(144, 3))


CASES = {
    "images": (image_net, (torch.rand(N, 1, 8, 8), torch.randint(0, 3, (N,))), nn.CrossEntropyLoss(), 0),
    "text": (TextClassifier, (torch.randint(0, 50, (N, 6)), torch.randint(0, 2, (N,))), nn.CrossEntropyLoss(), 0),
    "regression": (lambda: nn.Linear(5, 1), (torch.rand(N, 5), 1 + torch.rand(N, 1)), nn.MSELoss(), 0),
    "several labels": (lambda: nn.Linear(5, 4), (torch.rand(N, 5), torch.randint(0, 2, (N, 4)).float()), nn.BCEWithLogitsLoss(), 0),
    "loader with a worker": (lambda: nn.Linear(5, 3), (torch.rand(N, 5), torch.randint(0, 3, (N,))), nn.CrossEntropyLoss(), 1),
}


@pytest.mark.parametrize("case", CASES)
def test_signals_are_the_coins(case, rng):
    make, tensors, loss, workers = CASES[case]
    probe = CanaryProbe(60, rng=rng)
    net, data = probe.wrap(make(), TensorDataset(*tensors))
    net, optimizer, loader = PrivacyEngine().make_private(
        module=net,
        optimizer=torch.optim.Adam(net.parameters(), lr=1e-3),
        data_loader=DataLoader(data, batch_size=60, num_workers=workers),
        noise_multiplier=1e-6,
        max_grad_norm=0.5,
    )
    probe.attach(optimizer, loader)
    for inputs, labels in loader:
        optimizer.zero_grad()
        loss(net(inputs), labels).backward()
        optimizer.step()
    result = probe.result()
    np.testing.assert_allclose(result.signals, result.batch_log.canary_in, atol=1e-3)
    assert result.batch_log.canary_in.any()
