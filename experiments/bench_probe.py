"""What does the canary probe cost the user's training? (membership_inference.md 3: less than 20 % of the user's own run)

Three runs side by side, in turn, on digits (900 records, sample rate 1/15, 200 steps, 1,000 canaries): with the probe; without it on the
same number of records, hence the same batches; without it on the user's 900 records only. The last ratio contains what 500 more records
cost any run. A second row uses a larger network, where the fixed cost of one more layer no longer shows. Peer: the engine without a probe.

Run: python experiments/bench_probe.py        (about 1 minute)
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.canaries.probe import CanaryProbe
from experiments import planted_engine
from experiments.planted_engine import RECORDS, Setting, digits, train
from experiments.results_file import write_results


@dataclass(frozen=True, slots=True)
class Config:
    """How often, and which hidden widths."""

    repeats: int = 11
    widths: tuple[int, ...] = (128, 512)
    n_canaries: int = 1000
    seed: int = 1


def _seconds(probe: CanaryProbe | None, data: TensorDataset) -> float:
    start = time.perf_counter()
    train(probe, Setting(), data)
    return time.perf_counter() - start


def _more_records(n: int) -> TensorDataset:
    x, y = digits().tensors
    chosen = torch.arange(n) % RECORDS
    return TensorDataset(x[chosen], y[chosen])


def run(config: Config, *, rng: np.random.Generator) -> list[dict[str, object]]:
    """Time all runs in turn and return one row per width, medians over repeats."""
    rows: list[dict[str, object]] = []
    for width in config.widths:
        planted_engine.network = lambda width=width: nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
        times: dict[str, list[float]] = {"probe": [], "same batches": [], "own records": []}
        _seconds(None, digits())
        for child in rng.spawn(config.repeats):
            probe = CanaryProbe(config.n_canaries, rng=child)
            times["probe"].append(_seconds(probe, digits()))
            times["same batches"].append(_seconds(None, _more_records(RECORDS + int(probe.member.sum()))))
            times["own records"].append(_seconds(None, digits()))
        median = {name: statistics.median(values) for name, values in times.items()}
        rows.append(
            {
                "width": width,
                "seconds_with_probe": median["probe"],
                "ratio_to_same_batches": median["probe"] / median["same batches"],
                "ratio_to_own_records": median["probe"] / median["own records"],
            }
        )
    return rows


def main() -> None:
    """Run, print ratios, write results/bench_probe.jsonl."""
    torch.set_num_threads(1)
    config = Config()
    rows = run(config, rng=np.random.default_rng(config.seed))
    for row in rows:
        print(
            f"hidden width {row['width']:>5}: {row['seconds_with_probe']:.2f} s with the probe, {row['ratio_to_same_batches']:.2f} x "
            f"the same batches without it, {row['ratio_to_own_records']:.2f} x the user's own records only"
        )
    print(write_results("bench_probe", rows, seed=config.seed, tools=("torch", "opacus")))


if __name__ == "__main__":
    main()
