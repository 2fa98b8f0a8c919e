"""Runs MST or AIM of the repository ryan112358/mbi on a table of codes. Started by `experiments.mbi_peer` in the peer's own environment.

Run: PYTHON mbi_driver.py MECHANISMS QUESTION ANSWER

MECHANISMS is the folder with mst.py and aim.py. QUESTION is an npz with codes (n, d), sizes (d,), mechanism, epsilon, delta and seed;
ANSWER becomes one with the synthetic codes and the CPU seconds of the mechanism, compilation included, imports left out. Settings are the
mechanisms' own: AIM gets all pairs with equal weights, both count rows (one more or less), as is their default.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from itertools import combinations, count
from types import ModuleType

import numpy as np

_CALLS_BETWEEN_CLEARINGS = 8


def main(mechanisms: str, question: str, answer: str) -> None:
    """Answer one question."""
    sys.path.insert(0, mechanisms)
    asked = np.load(question)
    mbi = import_module("mbi")
    _speak_mbi_1(mbi)
    names = [f"c{place}" for place in range(asked["codes"].shape[1])]
    domain = mbi.Domain(names, [int(size) for size in asked["sizes"]])
    data = mbi.Dataset({name: asked["codes"][:, place] for place, name in enumerate(names)}, domain)
    epsilon, delta, seed = float(asked["epsilon"]), float(asked["delta"]), int(asked["seed"])
    np.random.seed(seed)  # noqa: NPY002 - what the mechanisms draw from
    mechanism = import_module(str(asked["mechanism"]))
    start = time.process_time()
    if str(asked["mechanism"]) == "mst":
        synthetic = mechanism.MST(data, epsilon, delta)
    else:
        _, synthetic = mechanism.AIM(epsilon, delta).run(data, [(pair, 1.0) for pair in combinations(names, 2)])
    seconds = time.process_time() - start
    columns = synthetic.to_dict()
    np.savez(answer, codes=np.column_stack([np.asarray(columns[name]) for name in names]).astype(np.int32), cpu_seconds=seconds)


def _speak_mbi_1(mbi: ModuleType) -> None:
    """Give mbi 2 the two names of mbi 1 that the mechanisms still use, and drop compiled programs now and then.

    Each round of AIM compiles programs of its own; a long run otherwise ends when the process has as many memory maps as Linux allows.
    """
    mbi.Domain.attrs = property(lambda domain: domain.attributes)
    estimate, jax, calls = mbi.estimation.MirrorDescent.estimate, import_module("jax"), count(1)

    def estimate_from(estimator: object, *inputs: object, potentials: object = None, **settings: object) -> object:
        if next(calls) % _CALLS_BETWEEN_CLEARINGS == 0:
            jax.clear_caches()
        return estimate(estimator, *inputs, warm_start=potentials, **settings)

    mbi.estimation.MirrorDescent.estimate = estimate_from


if __name__ == "__main__":
    main(*sys.argv[1:])
