"""`privacy-audit demo`: trains a real DP-SGD model on real handwritten digits, audits the run, writes the page.

Data: scikit-learn's copy of the UCI optical digits (1,797 images of 8 x 8). The training code below is what a user of Opacus writes; the
three lines that an audit adds are marked.
"""

from __future__ import annotations

from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from attacks.canaries.probe import CanaryProbe

NOISE_MULTIPLIER = 1.0
MAX_GRAD_NORM = 1.0
BATCHES = 15  # an epoch; Opacus samples each record with probability 1 / 15
EXPECTED_BATCH_SIZE = 128  # fixed by hand: a normalizer that follows the data is a leak no accountant counts
DELTA = 1e-5
LEVEL = 0.99  # a sound run fails a conformance test once in 100 demos, not once in 20
TEST_RECORDS = 297


def train_on_digits(probe: CanaryProbe, *, epochs: int = 14) -> float:
    """Train an MLP with DP-SGD on 1,500 digits and return its accuracy on the 297 others."""
    import warnings

    import torch
    from opacus import PrivacyEngine
    from sklearn.datasets import load_digits
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    images, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
    train, test = slice(TEST_RECORDS, None), slice(0, TEST_RECORDS)
    net: nn.Module = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    net, data = probe.wrap(net, TensorDataset(x[train], y[train]))  # audit, line 1

    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    loader = DataLoader(data, batch_size=-(-len(data) // BATCHES))  # hold the sample rate, not the batch size
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Secure RNG turned off")
        engine = PrivacyEngine()
    net, optimizer, loader = engine.make_private(
        module=net, optimizer=optimizer, data_loader=loader, noise_multiplier=NOISE_MULTIPLIER, max_grad_norm=MAX_GRAD_NORM
    )
    optimizer.expected_batch_size = EXPECTED_BATCH_SIZE
    probe.attach(optimizer, loader)  # audit, line 2

    loss = nn.CrossEntropyLoss()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing")  # torch, on any first layer under Opacus
        for inputs, targets in chain.from_iterable(repeat(loader, epochs)):
            optimizer.zero_grad()
            loss(net(inputs), targets).backward()
            optimizer.step()
    with torch.no_grad():
        return float((net(x[test]).argmax(dim=1) == y[test]).double().mean())


def demo(
    out: Annotated[Path, typer.Option(help="Folder for report.html and report.json.")] = Path("audit-report"),
    quick: Annotated[bool, typer.Option("--quick", help="300 canaries and 4 epochs instead of 1,000 and 14.")] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of coins and splits; the training noise is never seeded.")] = None,
) -> None:
    """Train a DP-SGD model on real digits, audit the run, write one page. A demo is no gate: it exits with 0 whatever it finds."""
    from privacy_audit.audits.training import audit_training
    from privacy_audit.cli.progress import progress_bar
    from privacy_audit.cli.summary import summary_lines, write_report

    accuracy: list[float] = []
    with progress_bar() as progress:
        report = audit_training(  # audit, line 3
            lambda probe: accuracy.append(train_on_digits(probe, epochs=4 if quick else 14)),
            delta=DELTA,
            n_canaries=300 if quick else 1000,
            level=LEVEL,
            rng=seed,
            progress=progress,
            title="DP-SGD on 1,500 handwritten digits",
        )
    written = write_report(report, out)
    typer.echo(f"\nDP-SGD on 1,500 handwritten digits, {accuracy[0]:.1%} correct on 297 others\n")
    typer.echo("\n".join(summary_lines(report)))
    typer.echo(f"\n  page    {written.page}\n  record  {written.record}")
