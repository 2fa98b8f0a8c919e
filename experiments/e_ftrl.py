"""What does correlated noise buy in training, at equal epsilon and without sampling?

Digits, an MLP 64-64-10, clipping norm 1, batches of 96 in a fixed order, 10 epochs (150 steps, each record 10 times), epsilon 1, 2, 4, 8
at delta 1e-5 for zeroing a record out. Independent noise ("identity") against correlated noise, with a constant rate and with one that
falls linearly to a twentieth and is declared to the design. Every mechanism gets the best of the same learning rates, by the mean accuracy
of its seeds. For reference DP-SGD with Poisson batches, amplified (add/remove). Expected: far more accuracy than independent noise where
epsilon is small, in the order of the predicted errors; amplification is a match for it. About 8 minutes on one core.

Run: python experiments/e_ftrl.py [--quick]
"""

from __future__ import annotations

import argparse
import sys
import warnings
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from opacus import PrivacyEngine
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.results_file import write_results
from mechanisms.accounting.dp_sgd import dp_sgd_noise_multiplier
from mechanisms.continual.training.opacus_optimizer import correlated_noise
from mechanisms.continual.training.schedule import FixedOrder
from mechanisms.continual.training.training_noise import TrainingNoise, design_training_noise
from mechanisms.noise.source import SeededNoise

DELTA = 1e-5
BATCH, TRAIN = 96, 1440
MECHANISMS = ("identity", "banded_inverse", "buffered_toeplitz", "scaled_square_root")
POISSON = "poisson, amplified"

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Config:
    """How much is run."""

    epsilons: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    rates: tuple[float, ...] = (0.3, 0.7, 1.5)
    epochs: int = 10
    seeds: int = 5
    seed: int = 20261127


QUICK = Config(epsilons=(2.0,), rates=(0.5,), epochs=3, seeds=2)


def digits(rng: np.random.Generator) -> tuple[TensorDataset, TensorDataset]:
    """Return training and test digits in random order."""
    images, labels = load_digits(return_X_y=True)
    order = rng.permutation(len(labels))
    x, y = torch.from_numpy((images[order] / 16).astype(np.float32)), torch.from_numpy(labels[order])
    return TensorDataset(x[:TRAIN], y[:TRAIN]), TensorDataset(x[TRAIN:], y[TRAIN:])


def schedule_of(rate: float, steps: int, falling: bool) -> np.ndarray:
    """Return the learning rate of each step."""
    return rate * (np.linspace(1, 0.05, steps) if falling else np.ones(steps))


@cache
def amplified(epsilon: float, steps: int) -> float:
    """Return the noise multiplier of DP-SGD with Poisson batches."""
    return dp_sgd_noise_multiplier(epsilon=epsilon, delta=DELTA, sample_rate=BATCH / TRAIN, steps=steps)


@cache
def fitted(mechanism: str, falling: bool, epochs: int) -> TrainingNoise:
    """Return the design; a factor of all learning rates changes nothing in it."""
    order = FixedOrder(epochs, TRAIN // BATCH)
    steps = epochs * TRAIN // BATCH
    rates = schedule_of(1.0, steps, True) if falling else None
    return design_training_noise(steps, participation=order, mechanism=mechanism, learning_rate=rates)


def one_run(mechanism: str, falling: bool, epsilon: float, rate: float, epochs: int, rng: np.random.Generator) -> Row:
    """Train once; return the accuracy and the design's figures."""
    train, test = digits(rng)
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(int(rng.integers(2**62)))
        net: nn.Module = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        engine, poisson, steps = PrivacyEngine(), mechanism == POISSON, epochs * TRAIN // BATCH
        spread = amplified(epsilon, steps) if poisson else 1.0
        net, optimizer, loader = engine.make_private(
            module=net,
            optimizer=torch.optim.SGD(net.parameters(), lr=rate),
            data_loader=DataLoader(train, batch_size=BATCH),
            noise_multiplier=spread,
            max_grad_norm=1.0,
            poisson_sampling=poisson,
        )
        facts: Row = {"noise_multiplier": spread}
        rates = schedule_of(rate, steps, falling)
        if not poisson:
            design = fitted(mechanism, falling, epochs)
            design = replace(design, learning_rate=rates) if falling else design
            noise = SeededNoise(int(rng.integers(2**62)))
            budget = {"epsilon": epsilon, "delta": DELTA}
            optimizer, loader = correlated_noise(engine, optimizer, loader, n_steps=steps, mechanism=design, noise=noise, **budget)
            facts = {"noise_multiplier": optimizer.noise_multiplier, "predicted_error": design.mean_error(rates / rate)}
        fit(net, optimizer, loader, rates, epochs)
    x, y = test.tensors
    net.eval()
    with torch.no_grad():
        return facts | {"accuracy": float((net(x).argmax(1) == y).float().mean())}


def fit(net: nn.Module, optimizer: torch.optim.Optimizer, loader: DataLoader, rates: np.ndarray, epochs: int) -> None:
    """Train for all epochs at the rates of the schedule."""
    step = 0
    for _ in range(epochs):
        for x, y in loader:
            for group in optimizer.param_groups:
                group["lr"] = float(rates[step])
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
            step += 1


def run(config: Config, *, rng: np.random.Generator) -> list[Row]:
    """Return one row per epsilon and mechanism, at its best rate; all of them see the same seeds."""
    seeds, rows = [int(child.integers(2**62)) for child in rng.spawn(config.seeds)], []
    for epsilon in config.epsilons:
        for mechanism in (*MECHANISMS, POISSON):
            for falling in (False,) if mechanism == "buffered_toeplitz" else (False, True):
                rows.append(_best(mechanism, falling, epsilon, seeds, config))
                print(rows[-1], flush=True)
    return rows


def _best(mechanism: str, falling: bool, epsilon: float, seeds: list[int], config: Config) -> Row:
    tried = []
    for rate in config.rates:
        found = [one_run(mechanism, falling, epsilon, rate, config.epochs, np.random.default_rng(seed)) for seed in seeds]
        accuracy = [float(str(row.pop("accuracy"))) for row in found]
        head: Row = {"epsilon": epsilon, "mechanism": mechanism, "rates": "falling" if falling else "constant", "rate": rate}
        tried.append(head | {"accuracy": float(np.mean(accuracy)), "sd": float(np.std(accuracy, ddof=1))} | found[0])
    return max(tried, key=lambda row: float(str(row["accuracy"])))


def main() -> None:
    """Run, print the rows, write results/e_ftrl.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="few seeds; writes nothing")
    config = QUICK if parser.parse_args().quick else Config()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=UserWarning)  # seeded noise: this is a simulation
    rows = run(config, rng=np.random.default_rng(config.seed))
    if config is not QUICK:
        print(write_results("e_ftrl", rows, seed=config.seed, tools=("numpy", "scipy", "torch", "opacus", "scikit-learn")))


if __name__ == "__main__":
    main()
