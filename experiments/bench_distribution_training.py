"""How much faster do the models of a distribution-inference attack train in lock-step than with scikit-learn? (aim: 4 x per model-epoch)

MLP 50-32-16-8-1 on a synthetic pool of 20,000 records, each model with its own 1,000 members, binary cross entropy, Adam 1e-3, shuffled
batches of 100, 20 epochs. Peers, one model each on as many records: scikit-learn's `MLPClassifier` with the same settings, and a plain
torch loop. Ours and both peers are timed in turn, everything included that comes after the data (first weights, checks of the records,
batches): CPU time of one thread per model and epoch, medians over repeats; a ratio is the median of the repeats' own ratios. The last rows
are not compared: models of unequal sizes, DP-Adam on Poisson batches, and the logits of all models on 2,000 records.

Run: python experiments/bench_distribution_training.py        (about 2 minutes)
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
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.shadow.ensemble import ShadowTrainer
from experiments.results_file import write_results

POOL, FEATURES, MEMBERS = 20_000, 50, 1_000
HIDDEN = (32, 16, 8)
BATCH, EPOCHS, LR = 100, 20, 1e-3
RATE, STEPS = BATCH / MEMBERS, EPOCHS * MEMBERS // BATCH

Records = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True)
class Config:
    """How many models, and how often each is timed."""

    repeats: int = 7
    sizes: tuple[int, ...] = (1, 10, 50, 200)
    queries: int = 2_000
    seed: int = 1


def network() -> nn.Module:
    """50-32-16-8-1."""
    widths = (FEATURES, *HIDDEN)
    hidden = [layer for pair in zip(widths, HIDDEN, strict=False) for layer in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(HIDDEN[-1], 1))


def pool(rng: np.random.Generator) -> Records:
    """Standard normal records, and labels that a noisy linear rule gives."""
    inputs = rng.standard_normal((POOL, FEATURES)).astype(np.float32)
    return inputs, (inputs[:, :5].sum(axis=1) + rng.standard_normal(POOL) > 0).astype(np.float32)


def members(counts: list[int], rng: np.random.Generator) -> np.ndarray:
    """(models, POOL) membership with the given counts."""
    member = np.zeros((len(counts), POOL), dtype=bool)
    for row, count in zip(member, counts, strict=True):
        row[rng.choice(POOL, count, replace=False)] = True
    return member


def shuffled_trainer() -> ShadowTrainer:
    """What scikit-learn does."""
    options = {"optimizer": "adam", "batches": "shuffled", "epochs": EPOCHS, "batch_size": BATCH}
    return ShadowTrainer(network, lr=LR, loss="binary_cross_entropy", seed=1, **options)


def private_trainer() -> ShadowTrainer:
    """As many steps of DP-Adam."""
    options = {"optimizer": "adam", "noise_multiplier": 1.0, "max_grad_norm": 1.0}
    return ShadowTrainer(network, lr=LR, loss="binary_cross_entropy", seed=1, steps=STEPS, sample_rate=RATE, **options)


def ours(trainer: ShadowTrainer, records: Records, member: np.ndarray) -> float:
    """CPU seconds of one model and epoch."""
    sizes = None if trainer.sample_rate is None else [trainer.sample_rate * MEMBERS] * len(member)
    start = time.process_time()
    trainer.train(*records, member, expected_batch_size=sizes)
    return (time.process_time() - start) / len(member) / EPOCHS


def sklearn_peer(records: Records) -> float:
    """CPU seconds of one epoch of `MLPClassifier`."""
    inputs, targets = (array[:MEMBERS] for array in records)
    options = {"alpha": 0.0, "tol": 0.0, "n_iter_no_change": EPOCHS + 1}  # no weight decay, no early stop
    start = time.process_time()
    MLPClassifier(HIDDEN, batch_size=BATCH, max_iter=EPOCHS, learning_rate_init=LR, random_state=1, **options).fit(inputs, targets)
    return (time.process_time() - start) / EPOCHS


def torch_peer(records: Records) -> float:
    """CPU seconds of one epoch of a plain loop, batches indexed out of a tensor."""
    inputs, targets = (torch.from_numpy(array[:MEMBERS]) for array in records)
    start = time.process_time()
    model, loss = network(), nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    for _ in range(EPOCHS):
        for rows in torch.randperm(MEMBERS).split(BATCH):
            optimizer.zero_grad()
            loss(model(inputs[rows])[:, 0], targets[rows]).backward()
            optimizer.step()
    return (time.process_time() - start) / EPOCHS


def compare(models: int, records: Records, config: Config, rng: np.random.Generator) -> dict[str, object]:
    """One row: milliseconds per model and epoch, and ratios, for K models."""
    trainer, member = shuffled_trainer(), members([MEMBERS] * models, rng)
    times: dict[str, list[float]] = {"ours": [], "sklearn": [], "torch": []}
    for _ in range(config.repeats):
        times["sklearn"].append(sklearn_peer(records))
        times["ours"].append(ours(trainer, records, member))
        times["torch"].append(torch_peer(records))
    row: dict[str, object] = {"run": "compared", "models": models}
    for name, values in times.items():
        row[f"ms_{name}"] = 1e3 * statistics.median(values)
    for name in ("sklearn", "torch"):
        row[f"ratio_to_{name}"] = statistics.median([peer / own for peer, own in zip(times[name], times["ours"], strict=True)])
    return row


def alone(name: str, config: Config, models: int, timed: Callable[[], float]) -> dict[str, object]:
    """One row without a peer."""
    return {"run": name, "models": models, "ms_ours": 1e3 * statistics.median(timed() for _ in range(config.repeats))}


def run(config: Config, *, rng: np.random.Generator) -> list[dict[str, object]]:
    """All comparisons, then what is not compared."""
    records = pool(rng)
    ours(shuffled_trainer(), records, members([MEMBERS] * 2, rng)), sklearn_peer(records), torch_peer(records)  # first calls load libraries
    rows = [compare(models, records, config, rng) for models in config.sizes]
    models = config.sizes[-1]
    equal = members([MEMBERS] * models, rng)
    unequal = members(rng.integers(MEMBERS - 100, MEMBERS + 101, models).tolist(), rng)
    rows.append(alone("unequal members, 900 to 1,100", config, models, lambda: ours(shuffled_trainer(), records, unequal)))
    rows.append(alone("DP-Adam, Poisson batches", config, models, lambda: ours(private_trainer(), records, equal)))
    trained = shuffled_trainer().train(*records, equal)

    def asked() -> float:
        start = time.process_time()
        trained.logits(records[0][: config.queries])
        return (time.process_time() - start) / models

    return [*rows, alone(f"logits of {config.queries:,} records", config, models, asked)]


def main() -> None:
    """Run, print ratios, write results/bench_distribution_training.jsonl."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # scikit-learn: not converged after the epochs it was given
    config = Config()
    with threadpool_limits(limits=1):
        rows = run(config, rng=np.random.default_rng(config.seed))
    for row in rows:
        if row["run"] == "compared":
            print(
                f"M = {row['models']:>3}: {row['ms_ours']:.3f} ms a model-epoch; scikit-learn {row['ms_sklearn']:.2f} "
                f"(x {row['ratio_to_sklearn']:.1f}), plain torch {row['ms_torch']:.2f} (x {row['ratio_to_torch']:.1f})"
            )
        else:
            print(f"M = {row['models']:>3}: {row['ms_ours']:.3f} ms, {row['run']}")
    print(write_results("bench_distribution_training", rows, seed=config.seed, tools=("torch", "scikit-learn", "numpy")))


if __name__ == "__main__":
    main()
