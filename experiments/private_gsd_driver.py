"""Runs the genetic search of the repository giusevtr/private_gsd on given noisy marginals. Started by `bench_synth` in an environment of its own.

Run: PYTHON private_gsd_driver.py SOURCE QUESTION ANSWER

SOURCE is the repository's folder src. QUESTION is an npz with codes (n, d) of the real table (its shape is all that is used), sizes (d,), the
noisy shares of all pairs' cells one after another, n_rows, and seed; ANSWER becomes one with the synthetic codes, the fitness (sum of squared
differences of shares) and the CPU seconds of the search, its compilation included. Settings are the published ones: all four operators, an
early stop at a relative change of 1e-4. The package's own start-up imports libraries of privacy accounting that the search does not need;
they are left out.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from types import ModuleType

import numpy as np

_GENERATIONS = 400_000  # the published 50,000,000 are never reached, but their keys would be drawn


def main(source: str, question: str, answer: str) -> None:
    """Answer one question."""
    _prepare(source)
    asked = np.load(question)
    jax, pandas = import_module("jax"), import_module("pandas")
    utils, chained = import_module("genetic_sd.utils"), import_module("genetic_sd.adaptive_statistics")
    names = [f"c{place}" for place in range(asked["codes"].shape[1])]
    domain = utils.Domain({name: {"type": "string", "size": int(size)} for name, size in zip(names, asked["sizes"], strict=True)})
    data = utils.Dataset(pandas.DataFrame(asked["codes"][: int(asked["n_rows"])].astype(float), columns=names), domain)
    statistics = chained.AdaptiveChainedStatistics(data)
    marginals = chained.Marginals.get_all_kway_combinations(domain, k=2)
    statistics.add_stat_module_and_fit(marginals)
    add = statistics._AdaptiveChainedStatistics__add_stats
    for place in range(marginals.get_num_workloads()):
        noisy = jax.numpy.array(asked["noisy"][slice(*marginals._get_workload_positions(place))])
        add(0, place, noisy, noisy)
    search = import_module("genetic_sd.generator.generator_genetic_sd").GeneticSD(
        domain=domain,
        data_size=int(asked["n_rows"]),
        num_generations=_GENERATIONS,
        genetic_operators=("mutate", "continuous", "cross", "swap"),
        stop_early=True,
        stop_eary_threshold=1e-4,
        sparse_statistics=True,
    )
    start = time.process_time()
    table = search.fit(jax.random.PRNGKey(int(asked["seed"])), statistics)
    seconds = time.process_time() - start
    answers = np.asarray(statistics.get_dataset_statistics_fn()(table), dtype=np.float64)
    fitness = float(np.sum((answers - asked["noisy"]) ** 2))
    np.savez(answer, codes=table.df.to_numpy().astype(np.int32), fitness=fitness, cpu_seconds=seconds)


def _prepare(source: str) -> None:
    """Let the package's parts be imported without its start-up, and stand in for the one name of snsynth that they ask for."""
    package = ModuleType("genetic_sd")
    package.__path__ = [f"{source}/genetic_sd"]
    accounting = ModuleType("snsynth.utils")
    accounting.cdp_rho = accounting.gaussian_noise = None  # type: ignore[attr-defined]
    sys.modules.update({"genetic_sd": package, "snsynth": ModuleType("snsynth"), "snsynth.utils": accounting})


if __name__ == "__main__":
    main(*sys.argv[1:])
