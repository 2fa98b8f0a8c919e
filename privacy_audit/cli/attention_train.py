"""`privacy-audit attention train`: trains a small language model, guided by the entropy of its heads, into a folder.

An interrupted run goes on where its last checkpoint left it, bit for bit; a private run has no checkpoints and begins anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from privacy_audit.cli.progress import Progress
    from privacy_audit.training_file import TrainingFile
    from private_inference.training.private_training import PrivateTrainingResult
    from private_inference.training.result import TrainingResult
    from private_inference.training.tokenized_corpus import TokenizedCorpus

CHECKPOINT = "checkpoint.npz"


def train(
    config: Annotated[Path | None, typer.Argument(help="Training file, TOML; without it the options.", metavar="[CONFIG.toml]")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the model, its history and its entropies.")] = Path("attention-model"),
    recipe: Annotated[str | None, typer.Option(help="toy_guided, toy_fused or toy_baseline.")] = None,
    text: Annotated[Path | None, typer.Option(help="Folder of text files; Python's own source.", metavar="FOLDER")] = None,
    vocabulary: Annotated[int | None, typer.Option(help="Entries of the tokenizer; 512.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps; 800.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights and order, never of protective noise.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of torch.")] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Begin anew, whatever the folder holds.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON and nothing else.")] = False,
) -> None:
    """Train a model that is cheap under private inference."""
    from privacy_audit.cli.output import print_json
    from privacy_audit.cli.progress import progress_bar
    from private_inference.training.folder import training_record, write_training_folder

    settings = _settings(config, recipe=recipe, folder=text, vocab_size=vocabulary, steps=steps, seed=seed)
    with progress_bar() as progress:
        progress(0, 1, "reading and encoding text")
        corpus = _corpus(settings, Path() if config is None else config.parent)
        out.mkdir(parents=True, exist_ok=True)
        result = _train(settings, corpus, out, anew=anew, threads=threads, progress=progress)
    write_training_folder(result, out, tokenizer=corpus.tokenizer)
    if json:
        print_json(training_record(result))
    else:
        _print(result, corpus, out)


def _settings(config: Path | None, **options: str | int | Path | None) -> TrainingFile:
    from privacy_audit.training_file import checked_training, read_training_file

    given = {name: value for name, value in options.items() if value is not None}
    if config is not None:
        if given:
            raise ValueError("give either CONFIG.toml, or options of the training; the file has a key for each of them")
        return read_training_file(config)
    content: dict[str, object] = {name: given[name] for name in ("recipe", "seed") if name in given}
    content["corpus"] = {name: str(given[name]) if name == "folder" else given[name] for name in ("folder", "vocab_size") if name in given}
    content["training"] = {"steps": given["steps"]} if "steps" in given else {}
    return checked_training(content, source="options")


def _corpus(settings: TrainingFile, beside: Path) -> TokenizedCorpus:
    from private_inference.training.corpus import standard_library, text_folder
    from private_inference.training.tokenized_corpus import tokenize_corpus
    from private_inference.training.tokenizer import BytePairTokenizer

    table = settings.corpus
    if settings.private is not None and table.tokenizer is None:
        raise ValueError(
            "a private run needs a tokenizer made from public text, [corpus] tokenizer = FILE: one trained on the training texts tells of "
            "them outside of the guarantee; the folder of a run on public text holds one"
        )
    if table.folder is None:
        text = standard_library(held_out_share=table.held_out_share)
    else:
        text = text_folder(beside / table.folder, suffixes=table.suffixes, held_out_share=table.held_out_share)
    tokenizer = None if table.tokenizer is None else BytePairTokenizer.load(beside / table.tokenizer)
    return tokenize_corpus(text, vocab_size=table.vocab_size, tokenizer=tokenizer)


def _train(
    settings: TrainingFile, corpus: TokenizedCorpus, out: Path, *, anew: bool, threads: int | None, progress: Progress
) -> TrainingResult | PrivateTrainingResult:
    from dataclasses import replace

    from private_inference.training.private_training import train_private
    from private_inference.training.train import train_model

    named, shape, private = settings.named(), settings.model, settings.private
    config = named.config(
        n_layer=shape.n_layer,
        n_head=shape.n_head,
        n_embd=shape.n_embd,
        block_size=shape.block_size,
        vocab_size=corpus.vocab_size,
    )
    config = replace(config, temperature=shape.temperature, score=shape.score, tied=shape.tied)
    penalty = named.entropy_penalty(config)
    if private is None:
        return train_model(
            config,
            corpus,
            named.recipe,
            penalty=penalty,
            conditioning=settings.training.conditioning,
            checkpoint=out / CHECKPOINT,
            resume=not anew,
            rng=settings.seed,
            threads=threads,
            progress=progress,
        )
    if settings.training.conditioning:
        raise ValueError("key 'training.conditioning' is not for private training; leave it out")
    return train_private(
        config,
        corpus,
        named.recipe,
        delta=private.delta,
        epsilon=private.epsilon,
        noise_multiplier=private.noise_multiplier,
        sample_rate=private.sample_rate,
        max_grad_norm=private.max_grad_norm,
        penalty=penalty,
        chunk=private.chunk,
        rng=settings.seed,
        threads=threads,
        progress=progress,
    )


def _print(result: TrainingResult | PrivateTrainingResult, corpus: TokenizedCorpus, out: Path) -> None:
    from mechanisms.guarantee import Neighboring
    from privacy_audit.cli.output import print_rows, print_sentences
    from private_inference.training.private_training import PrivateTrainingResult

    training = result.training if isinstance(result, PrivateTrainingResult) else result
    found = training.evaluation
    measured = "not finite"
    if found is not None:
        measured = f"perplexity {found.perplexity:.2f}, {found.bits_per_byte:.3f} bits per byte, {found.n_sequences} held-out sequences"
    print_rows(
        (
            "model",
            f"{training.config.variant}, {training.config.n_layer} layers, {training.config.n_head} heads, d = {training.config.n_embd}",
        ),
        ("corpus", f"{corpus.name}, {len(corpus.train):,} tokens, {corpus.characters_per_token:.2f} characters per token"),
        ("training", f"{training.status} after {training.n_steps:,} steps"),
        ("held-out", measured),
        ("folder", str(out)),
    )
    if isinstance(result, PrivateTrainingResult):
        guarantee = result.guarantee
        relation = "add/remove" if guarantee.neighboring is Neighboring.ADD_REMOVE else "zero out"
        print_rows(("privacy", f"epsilon {guarantee.epsilon:.4g} at delta {guarantee.delta:g}, {relation} one {guarantee.privacy_unit}"))
        print_sentences("Holds if", guarantee.assumptions)
    if len(training.tracker.steps):
        warnings = training.tracker.diagnose().warnings
        print_sentences("Heads", warnings or ("healthy: neither overload nor collapse",))
