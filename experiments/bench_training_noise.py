"""What does correlated noise cost a step of training, and its design?

CPU time per parameter and step of one million single-precision parameters, one thread, operating-system entropy, the best of `repeats`
steps, next to `torch.normal`, what Opacus draws with (seeded, not secure); the base noise alone ("identity") apart. Then the time to fit
each design for 10 epochs. Expected: 70 to 100 ns a parameter for secure noise, a few more for the state. One minute.

Run: python experiments/bench_training_noise.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.results_file import write_results
from mechanisms.continual.training.fitted_filter import MAKERS
from mechanisms.continual.training.noise_tensors import NoiseTensors
from mechanisms.continual.training.schedule import FixedOrder
from mechanisms.continual.training.training_noise import design_training_noise
from mechanisms.noise.source import SecureNoise

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Config:
    """What to time."""

    size: int = 1_000_000
    repeats: int = 5
    horizons: tuple[int, ...] = (150, 1000, 2000)


def run(config: Config) -> list[Row]:
    """Return one row per mechanism and part."""
    rows: list[Row] = [{"part": "step", "mechanism": "torch.normal", "ns": _best(lambda: torch.normal(0.0, 1.0, (config.size,)), config)}]
    for name in MAKERS:
        if name == "square_root":
            continue  # keeps every step's draws: its cost is that of the horizon
        design = design_training_noise(150, participation=FixedOrder(10, 15), mechanism=name)
        noise = NoiseTensors(design, [torch.zeros(config.size)], SecureNoise())

        def step(noise: NoiseTensors = noise) -> None:
            with noise.step() as drawn:
                next(drawn)

        rows.append({"part": "step", "mechanism": name, "state": design.n_state, "ns": _best(step, config)})
    for T in config.horizons:
        for name in MAKERS:
            started = time.process_time()
            design = design_training_noise(T, participation=FixedOrder(10, T // 10), mechanism=name)
            seconds = time.process_time() - started
            rows.append({"part": "design", "steps": T, "mechanism": name, "seconds": seconds, "mean_error": design.mean_error()})
    return rows


def _best(call: Callable[[], object], config: Config) -> float:
    times = []
    for _ in range(config.repeats):
        started = time.process_time()
        call()
        times.append(time.process_time() - started)
    return min(times) / config.size * 1e9


def main() -> None:
    """Run, print the rows, write results/bench_training_noise.jsonl."""
    torch.set_num_threads(1)
    rows = run(Config())
    for row in rows:
        print("  ".join(f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()))
    print(write_results("bench_training_noise", rows, seed=None, tools=("numpy", "scipy", "torch")))


if __name__ == "__main__":
    main()
