"""How much faster are shadow models in lock-step than one after the other? (Opacus hooks mode; aims: MLP 20 x, small CNN 5 x)

DP-SGD on digits: a pool of 1,797 records, half of them members of each model, sample rate 1/15, sigma = C = 1. Two peers, both one model in
Opacus's hooks mode: "bare" indexes batches out of a tensor and skips data loader and accountant, the least that Opacus can cost; "engine"
is `make_private` with its own Poisson loader, as users run it. Ours and both peers are timed in turn: CPU time of one thread per model and
step, medians over repeats (other work on the machine slows all three). The last row trains 256 models for 200 steps and asks each of them
for its logits on the whole pool.

Run: python experiments/bench_shadow.py        (about 4 minutes)
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from opacus import GradSampleModule, PrivacyEngine
from opacus.optimizers import DPOptimizer
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.shadow.ensemble import ShadowTrainer
from experiments.results_file import write_results

SAMPLE_RATE = 1 / 15
LR = 0.5


@dataclass(frozen=True, slots=True)
class Config:
    """How often, and how many steps each time."""

    repeats: int = 5
    sizes: tuple[int, ...] = (1, 16, 64)
    peer_steps: int = 60
    steps: int = 50
    digits_models: int = 256
    digits_steps: int = 200
    seed: int = 1


def mlp() -> nn.Module:
    """64-128-10."""
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def small_cnn() -> nn.Module:
    """Two convolutions of 16 and 32 channels on images of 8 x 8."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


def digits() -> tuple[np.ndarray, np.ndarray]:
    """All of scikit-learn's handwritten digits."""
    images, labels = load_digits(return_X_y=True)
    return (images / 16).astype(np.float32), labels


def half_of(n: int, models: int, rng: np.random.Generator) -> np.ndarray:
    """(models, n) membership, half of the pool each."""
    return rng.permuted(np.tile(np.arange(n) % 2 == 0, (models, 1)), axis=1)


def ours(make: Callable[[], nn.Module], models: int, steps: int, rng: np.random.Generator) -> float:
    """CPU seconds of `steps` steps of all models."""
    inputs, targets = digits()
    member = half_of(len(inputs), models, rng)
    trainer = ShadowTrainer(make, lr=LR, steps=steps, sample_rate=SAMPLE_RATE, noise_multiplier=1.0, max_grad_norm=1.0, seed=1)
    start = time.process_time()
    trainer.train(inputs, targets, member)
    return time.process_time() - start


def bare_opacus(make: Callable[[], nn.Module], steps: int) -> float:
    """CPU seconds of one model without loader and accountant."""
    inputs, targets = (torch.from_numpy(array)[:899] for array in digits())
    start = time.process_time()
    network = GradSampleModule(make())
    sgd = torch.optim.SGD(network.parameters(), lr=LR)
    optimizer = DPOptimizer(sgd, noise_multiplier=1.0, max_grad_norm=1.0, expected_batch_size=60)
    loss = nn.CrossEntropyLoss()
    for _ in range(steps):
        rows = (torch.rand(len(inputs)) < SAMPLE_RATE).nonzero().squeeze(1)
        optimizer.zero_grad()
        loss(network(inputs[rows]), targets[rows]).backward()
        optimizer.step()
    return time.process_time() - start


def opacus_engine(make: Callable[[], nn.Module], steps: int) -> float:
    """CPU seconds of one model under `make_private`."""
    inputs, targets = (torch.from_numpy(array)[:899] for array in digits())
    start = time.process_time()
    network = make()
    optimizer = torch.optim.SGD(network.parameters(), lr=LR)
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=60)
    network, optimizer, loader = PrivacyEngine().make_private(
        module=network, optimizer=optimizer, data_loader=loader, noise_multiplier=1.0, max_grad_norm=1.0
    )
    loss, done = nn.CrossEntropyLoss(), 0
    while done < steps:
        for x, y in loader:
            optimizer.zero_grad()
            loss(network(x), y).backward()
            optimizer.step()
            done += 1
            if done == steps:
                break
    return time.process_time() - start


def compare(make: Callable[[], nn.Module], models: int, config: Config, rng: np.random.Generator) -> dict[str, object]:
    """One row: milliseconds per model and step, and ratios, for one network and K."""
    times: dict[str, list[float]] = {"ours": [], "bare": [], "engine": []}
    for _ in range(config.repeats):
        times["bare"].append(bare_opacus(make, config.peer_steps) / config.peer_steps)
        times["ours"].append(ours(make, models, config.steps, rng) / config.steps / models)
        times["engine"].append(opacus_engine(make, config.peer_steps) / config.peer_steps)
    median = {name: 1e3 * statistics.median(values) for name, values in times.items()}
    ratios = [statistics.median([p / o for p, o in zip(times[peer], times["ours"], strict=True)]) for peer in ("bare", "engine")]
    return {
        "network": make.__name__,
        "models": models,
        "ms_ours": median["ours"],
        "ms_opacus_bare": median["bare"],
        "ms_opacus_engine": median["engine"],
        "ratio_to_bare": ratios[0],
        "ratio_to_engine": ratios[1],
    }


def digits_run(config: Config, rng: np.random.Generator) -> dict[str, object]:
    """Train the shadow models of one attack on digits, and ask them."""
    inputs, targets = digits()
    member = half_of(len(inputs), config.digits_models, rng)
    trainer = ShadowTrainer(
        mlp, lr=LR, steps=config.digits_steps, sample_rate=SAMPLE_RATE, noise_multiplier=1.0, max_grad_norm=1.0, seed=config.seed
    )
    cpu, wall = time.process_time(), time.perf_counter()
    logits = trainer.train(inputs, targets, member).logits(inputs)
    seconds = time.process_time() - cpu, time.perf_counter() - wall
    accuracy = float((logits.argmax(axis=2) == targets).mean())
    return {
        "run": "digits",
        "models": config.digits_models,
        "steps": config.digits_steps,
        "threads": torch.get_num_threads(),
        "cpu_seconds": seconds[0],
        "wall_seconds": seconds[1],
        "accuracy": accuracy,
    }


def run(config: Config, *, rng: np.random.Generator) -> list[dict[str, object]]:
    """All comparisons, then the run on digits."""
    ours(mlp, 2, 5, rng), ours(small_cnn, 2, 5, rng), bare_opacus(mlp, 5), opacus_engine(small_cnn, 5)  # first calls load libraries
    rows = [compare(make, models, config, rng) for make in (mlp, small_cnn) for models in config.sizes]
    return [*rows, digits_run(config, rng)]


def main() -> None:
    """Run, print ratios, write results/bench_shadow.jsonl."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # Opacus: secure RNG, hooks on the first layer
    config = Config()
    rows = run(config, rng=np.random.default_rng(config.seed))
    for row in rows[:-1]:
        print(
            f"{row['network']:>9}, K = {row['models']:>2}: {row['ms_ours']:.3f} ms a model and step; Opacus {row['ms_opacus_bare']:.2f} "
            f"(bare, x {row['ratio_to_bare']:.1f}), {row['ms_opacus_engine']:.2f} (engine, x {row['ratio_to_engine']:.1f})"
        )
    last = rows[-1]
    print(f"{last['models']} models of digits, {last['steps']} steps: {last['cpu_seconds']:.1f} s CPU, {last['wall_seconds']:.1f} s wall")
    print(write_results("bench_shadow", rows, seed=config.seed, tools=("torch", "opacus")))


if __name__ == "__main__":
    main()
