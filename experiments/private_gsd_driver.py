"""Runs the genetic search of giusevtr/private_gsd on given noisy marginals. Started by `bench_synth` in an environment of its own.

Run: PYTHON private_gsd_driver.py SOURCE QUESTION ANSWER

SOURCE is the repository's folder src. QUESTION is an npz with codes (n, d) of the real table (only its shape is used), sizes (d,), the
noisy shares of all pairs' cells one after another, n_rows, and seed. ANSWER becomes one with the best fitness so far (sum of squared
differences of shares), CPU seconds (compilation included) and generation, each time the search looks at them, and the fitness of the table
it returns. Settings are the published ones: all four operators, an early stop at a relative change of 1e-4. The package's start-up imports
libraries of privacy accounting that the search doesn't need; they are left out.
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
    genetic = import_module("genetic_sd.generator.generator_genetic_sd")
    search = genetic.GeneticSD(
        domain=domain,
        data_size=int(asked["n_rows"]),
        num_generations=_GENERATIONS,
        genetic_operators=("mutate", "continuous", "cross", "swap"),
        stop_early=True,
        stop_eary_threshold=1e-4,
        sparse_statistics=True,
    )
    course: list[tuple[float, float, int]] = []
    start = time.process_time()
    genetic.print_progress_fn = lambda t, fitness, *_: course.append((float(fitness), time.process_time() - start, t))
    table = search.fit(jax.random.PRNGKey(int(asked["seed"])), statistics)
    course.append((course[-1][0], time.process_time() - start, course[-1][2]))
    answers = np.asarray(statistics.get_dataset_statistics_fn()(table), dtype=np.float64)
    np.savez(answer, course=np.array(course), fitness=float(np.sum((answers - asked["noisy"]) ** 2)))


def _prepare(source: str) -> None:
    """Let the package's parts be imported without its start-up, and stand in for the one name of snsynth that they ask for."""
    package = ModuleType("genetic_sd")
    package.__path__ = [f"{source}/genetic_sd"]
    accounting = ModuleType("snsynth.utils")
    accounting.cdp_rho = accounting.gaussian_noise = None  # type: ignore[attr-defined]
    sys.modules.update({"genetic_sd": package, "snsynth": ModuleType("snsynth"), "snsynth.utils": accounting})


if __name__ == "__main__":
    main(*sys.argv[1:])
