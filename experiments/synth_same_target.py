"""One case of `bench_synth`: our pair engine and Private-GSD's genetic search on the same noisy target.

Run: python experiments/synth_same_target.py ADULT [PRIVATE_GSD PYTHON]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.mbi_peer import ONE_THREAD
from experiments.survey_tables import adult_table
from experiments.synth_methods import RELATION
from mechanisms.errors import InsecureNoiseWarning
from mechanisms.noise.source import SeededNoise
from synth.budget import one_shot_budget
from synth.encode import encode
from synth.measure import measure_marginals
from synth.pairwise import fit_pairs
from synth.start import uniform_start
from synth.targets import Fit, MarginalTarget

Floats = NDArray[np.float64]
DRIVER = Path(__file__).with_name("private_gsd_driver.py")
N_ROWS, SEED, REPEATS = 1000, 20261209, 5
STATED_FITNESS, STATED_SECONDS = 0.012525, 69.0


def main(adult: str, private_gsd: str = "", python: str = "") -> None:
    """Print one row."""
    table = adult_table(Path(adult))
    sizes = table.schema.sizes
    pairs = list(combinations(range(len(sizes)), 2))
    shares = [1 / len(pairs)] * len(pairs)
    cells = sum(sizes[i] * sizes[j] for i, j in pairs)
    budget = one_shot_budget(epsilon=1.0, delta=table.n_rows**-2, neighboring=RELATION, shares=shares, n_draws=cells)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureNoiseWarning)  # it is meant for releases
        noise = SeededNoise(SEED)
        answers = measure_marginals(table.counts(), pairs, rho=budget.rho, neighboring=RELATION, budget="equal", noise=noise)
    # The peer's code cuts noisy shares to [0, 1]; here both fit what it fits.
    noisy = [np.clip(answer.answer / table.n_rows, 0, 1) for answer in answers]
    targets = [MarginalTarget(pair, N_ROWS * share, 0.0) for pair, share in zip(pairs, noisy, strict=True)]
    end, to_the_end = _fit(targets, sizes, None)
    _, to_the_goal = _fit(targets, sizes, STATED_FITNESS)
    row: dict[str, object] = {"case": "same target", "cells": cells, "n_synthetic": N_ROWS, "goal": STATED_FITNESS}
    row |= {"cpu_seconds": to_the_goal, "fitness_at_the_end": end.fitness, "cpu_seconds_to_the_end": to_the_end}
    if private_gsd:
        codes = encode(table.frame, table.schema).codes
        fitness, course = _ask(Path(private_gsd, "src"), python, codes, sizes, np.concatenate([share.ravel() for share in noisy]))
        row |= {"peer": "run", "peer_cpu_seconds": _reached(course, STATED_FITNESS), "peer_same_end": _reached(course, end.fitness)}
        row |= {"peer_fitness_at_the_end": fitness, "peer_cpu_seconds_to_the_end": float(course[-1, 1])}
    else:
        row |= {"peer": "stated", "peer_cpu_seconds": STATED_SECONDS}
    seconds = row["peer_cpu_seconds"]
    print(json.dumps({**row, "ratio": seconds / to_the_goal if isinstance(seconds, float) else None}))


def _reached(course: Floats, goal: float) -> float | None:
    """Return the CPU seconds at which a search first has a fitness as good as the goal."""
    there = course[course[:, 0] <= goal]
    return float(there[0, 1]) if len(there) else None


def _fit(targets: list[MarginalTarget], sizes: tuple[int, ...], goal: float | None) -> tuple[Fit, float]:
    """Return a fit from uniform rows and the least CPU time of a few; sweeps are added one by one until the goal is reached."""
    start = uniform_start(sizes, N_ROWS, SEED)
    sweeps = 60
    if goal is not None:
        fits = (fit_pairs(targets, sizes, start, total=N_ROWS, min_gain=0.0, max_sweeps=n, rng=SEED) for n in range(1, 61))
        reached = next((fit for fit in fits if fit.fitness <= goal), None)
        if reached is None:
            raise RuntimeError(f"the fitness {goal:.6g} was not reached")
        sweeps = len(reached.history)
    times = []
    for _ in range(REPEATS):
        begin = time.process_time()
        fit = fit_pairs(targets, sizes, start, total=N_ROWS, min_gain=0.0, max_sweeps=sweeps, rng=SEED)
        times.append(time.process_time() - begin)
    return fit, min(times)


def _ask(source: Path, python: str, codes: NDArray[np.int32], sizes: tuple[int, ...], noisy: Floats) -> tuple[float, Floats]:
    """Return the peer's fitness, and its course: fitness, CPU seconds and generation now and then."""
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder, "question.npz"), Path(folder, "answer.npz")
        np.savez(question, codes=codes, sizes=sizes, noisy=noisy, n_rows=N_ROWS, seed=SEED)
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": ""}
        done = subprocess.run([python, "-W", "ignore", DRIVER, source, question, answer], env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"private_gsd failed: {done.stderr.strip().splitlines()[-1]}")
        found = np.load(answer)
        return float(found["fitness"]), found["course"]


if __name__ == "__main__":
    main(*sys.argv[1:])
