"""Does guiding head entropies pay at toy size?

4 layers, 4 heads, d = 64, T = 64, 512 byte pairs on Python's own source, 800 steps of 8 sequences; perplexity on 1,024 held-out sequences
and the share of heads that are near uniform, above 0.95 of what T allows, on seeds 0 to 4.

Perplexity hangs on which files are held out: SM+ScFuFFN has 47.5, 38.3, 54.4, 40.2 at split seeds 0 to 3. So models are compared on one
split.

Two tables. "published": the papers' recipe scaled down, one rate 3e-3 for all. Expected, within 10 % and 0.2 (another split): SM+LN+G 44.2
and 6 %, SM+ScFuFFN 54.4 and 31 to 44 %, with a temperature 54.0 and 12 %, with the penalty 53.2 and 0 %. Measured: 39.7 and 4 %, 48.1 and
35 %, 47.3 and 2 %, 46.8 and 0 %; ratios to SM+LN+G agree within 2 %. "tuned": `private_inference.training.recipes`, tuned on seeds 10 and
11 that are not in the table; expected: the penalty gains at least 2 % over SM+ScFuFFN by the same recipe, and is at most 15 % above
SM+LN+G. 20 to 60 minutes on one core.

Run: python experiments/e_guided_training.py [--seeds N]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.results_file import write_results
from private_inference.training.corpus import standard_library
from private_inference.training.recipe import TrainingRecipe
from private_inference.training.recipes import GUIDANCE, RECIPES, NamedRecipe
from private_inference.training.tokenized_corpus import TokenizedCorpus, tokenize_corpus
from private_inference.training.train import train_model

_GUIDED = RECIPES["toy_guided"]
_PUBLISHED = TrainingRecipe()
_PUBLISHED_PENALTY = replace(GUIDANCE, shape="jump", gamma=0.2)
_MOST_PUBLISHED_SEEDS = 3

CASES: dict[str, dict[str, tuple[NamedRecipe, str]]] = {
    "tuned": {
        "SM+LN+G": (RECIPES["toy_baseline"], "auto"),
        "SM+ScFuFFN": (RECIPES["toy_fused"], "auto"),
        "SM+ScFuFFN, recipe of the guided": (replace(_GUIDED, variant="sm_scfuffn", penalty=None), "auto"),
        "temperature (H, 1)": (replace(_GUIDED, penalty=None), "head"),
        "temperature (H, 1), penalty": (_GUIDED, "head"),
        "temperature (H, 1), causal penalty": (replace(_GUIDED, penalty=replace(GUIDANCE, reference="causal")), "head"),
    },
    "published": {
        "SM+LN+G": (NamedRecipe("sm_ln_gelu", _PUBLISHED), "auto"),
        "SM+ScFuFFN": (NamedRecipe("sm_scfuffn", _PUBLISHED), "auto"),
        "temperature (H, T)": (NamedRecipe("sm_t_scfuffn", _PUBLISHED), "position"),
        "temperature (H, T), penalty": (NamedRecipe("sm_t_scfuffn", _PUBLISHED, _PUBLISHED_PENALTY), "position"),
        "temperature (H, T), hinge": (NamedRecipe("sm_t_scfuffn", _PUBLISHED, replace(_PUBLISHED_PENALTY, shape="hinge")), "position"),
    },
}


@dataclass(frozen=True, slots=True)
class Config:
    """Which seeds, and the shape of the models."""

    n_seeds: int = 5
    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 64
    block_size: int = 64
    vocab_size: int = 512


def run(config: Config, *, rng: int = 0) -> Iterator[dict[str, object]]:
    """Yield one row a run; seeds count from `rng`."""
    corpus = tokenize_corpus(standard_library(), vocab_size=config.vocab_size)
    for table, cases in CASES.items():
        for name, (named, temperature) in cases.items():
            n_seeds = min(config.n_seeds, _MOST_PUBLISHED_SEEDS) if table == "published" else config.n_seeds
            for seed in range(rng, rng + n_seeds):
                yield {"table": table, "model": name, "seed": seed, **_measured(config, corpus, named, temperature, seed)}


def _measured(config: Config, corpus: TokenizedCorpus, named: NamedRecipe, temperature: str, seed: int) -> dict[str, object]:
    shape = named.config(
        n_layer=config.n_layer,
        n_head=config.n_head,
        n_embd=config.n_embd,
        block_size=config.block_size,
        vocab_size=corpus.vocab_size,
    )
    shape = replace(shape, temperature=temperature)
    begun = time.process_time()
    result = train_model(shape, corpus, named.recipe, penalty=named.entropy_penalty(shape), rng=seed, threads=1)
    if result.evaluation is None:
        return {"status": result.status, "perplexity": "inf"}
    bands = result.tracker.bands()
    return {
        "status": result.status,
        "perplexity": result.evaluation.perplexity,
        "bits_per_byte": result.evaluation.bits_per_byte,
        "near_uniform": bands.near_uniform,
        "near_zero": bands.near_zero,
        "top_band": bands.shares[3],
        "cpu_seconds": time.process_time() - begun,
    }


def main() -> None:
    """Run all cases, print one line a run, write results/e_guided_training.jsonl."""
    n_seeds = int(sys.argv[sys.argv.index("--seeds") + 1]) if "--seeds" in sys.argv else Config().n_seeds
    rows = []
    for row in run(Config(n_seeds=n_seeds)):
        rows.append(row)
        print(*row.values(), flush=True)
    print(write_results("e_guided_training", rows, seed=0, tools=("torch", "tokenizers", "numpy")))


if __name__ == "__main__":
    main()
