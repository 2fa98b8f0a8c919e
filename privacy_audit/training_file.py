"""The TOML file of `attention train`, validated: an unknown key is an error that names the key. Every key has a default.

recipe = "toy_guided"            # a name of private_inference.training.recipes; the tables below change parts of it
seed = 0

[model]
n_layer = 4
n_head = 4
n_embd = 64
block_size = 64
variant = "sm_t_scfuffn"

[corpus]                         # without folder: the source of Python's standard library
folder = "texts"                 # beside this file
suffixes = [".txt"]
vocab_size = 512
tokenizer = "tokenizer.json"     # optional, beside this file: an encoding that exists; a private run needs one made from public text

[training]                       # fields of TrainingRecipe
steps = 800

[penalty]                        # fields of EntropyPenalty; enabled = false leaves it out
weight = 0.1

[private]                        # optional: differential privacy, unit "sequence"
epsilon = 8.0                    # or noise_multiplier
delta = 1e-5
sample_rate = 0.01               # optional, known without the texts: add/remove; without it zero-out
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from privacy_audit.toml_table import Location, TomlTable, read_toml, sentence

if TYPE_CHECKING:
    from private_inference.training.recipes import NamedRecipe

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class _Table(TomlTable):
    def given(self, *left_out: str) -> dict[str, object]:
        """Return the keys that the file has."""
        return {name: getattr(self, name) for name in self.model_fields_set if name not in left_out}


class ModelTable(_Table):
    """[model]: shape, and what differs from the recipe's variant."""

    n_layer: Count = 4
    n_head: Count = 4
    n_embd: Count = 64
    block_size: Annotated[int, Field(ge=2)] = 64
    variant: str | None = None
    temperature: Literal["auto", "none", "head", "position"] = "auto"
    temperature_init: Positive | None = None
    score: Literal["softmax", "softmax_rr", "quad2", "relu_over_n", "sigmoid", "linear"] = "softmax"
    init_std: Positive | None = None
    tied: bool = True


class CorpusTable(_Table):
    """[corpus]: where the text comes from."""

    folder: str | None = None
    suffixes: list[str] = Field(default_factory=lambda: [".txt", ".md", ".py"], min_length=1)
    vocab_size: Annotated[int, Field(ge=257, le=65536)] = 512
    tokenizer: str | None = None
    held_out_share: Annotated[float, Field(gt=0, lt=1)] = 0.1


class RecipeTable(_Table):
    """[training]: fields of TrainingRecipe; those that are absent are the recipe's."""

    steps: Count | None = None
    batch_size: Count | None = None
    learning_rate: Positive | None = None
    weight_decay: NonNegative | None = None
    warmup: Annotated[float, Field(ge=0, lt=1)] | None = None
    decay: Literal["linear", "cosine", "none"] | None = None
    clip: Positive | None = None
    beta2: Annotated[float, Field(gt=0, lt=1)] | None = None
    temperature_rate: NonNegative | None = None
    threshold_rate: NonNegative | None = None
    penalty_until: Share | None = None
    eval_every: Count | None = None
    track_every: Count | None = None
    n_evaluation: Count | None = None
    conditioning: NonNegative = 0.0


class PenaltyTable(_Table):
    """[penalty]: fields of EntropyPenalty; those that are absent are the recipe's, or the defaults."""

    enabled: bool = True
    weight: NonNegative | None = None
    gamma: NonNegative | None = None
    reference: Literal["causal", "logT"] | None = None
    mode: Literal["position", "head"] | None = None
    shape: Literal["hinge", "jump"] | None = None
    reduction: Literal["mean", "sum"] | None = None
    theta_init: Annotated[float, Field(gt=0, lt=1)] | None = None


class PrivateTable(_Table):
    """[private]: DP-SGD; either epsilon or noise_multiplier."""

    epsilon: Positive | None = None
    noise_multiplier: Positive | None = None
    delta: Annotated[float, Field(gt=0, lt=1)]
    sample_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    max_grad_norm: Positive = 1.0
    chunk: Count = 64


class TrainingFile(_Table):
    """A whole file of `attention train`."""

    recipe: str = "toy_guided"
    seed: Annotated[int, Field(ge=0)] = 0
    model: ModelTable = ModelTable()
    corpus: CorpusTable = CorpusTable()
    training: RecipeTable = RecipeTable()
    penalty: PenaltyTable | None = None
    private: PrivateTable | None = None

    def named(self) -> NamedRecipe:
        """Return the named recipe with the file's changes.

        Raises
        ------
        ValueError : an unknown recipe, or values that don't go together.
        """
        from dataclasses import replace

        from mechanisms.validation import one_of
        from private_inference.training.recipes import GUIDANCE, RECIPES

        named = RECIPES[one_of(tuple(RECIPES), recipe=self.recipe)]
        changed = {name: getattr(self.model, name) for name in ("variant", "temperature_init", "init_std") if getattr(self.model, name)}
        named = replace(named, recipe=replace(named.recipe, **self.training.given("conditioning")), **changed)  # type: ignore[arg-type]
        if self.penalty is None:
            return named
        if not self.penalty.enabled:
            return replace(named, penalty=None)
        settings = replace(named.penalty or GUIDANCE, **self.penalty.given("enabled", "theta_init"))  # type: ignore[arg-type]
        return replace(named, penalty=settings, theta_init=self.penalty.theta_init or named.theta_init)


def read_training_file(path: str | PathLike[str]) -> TrainingFile:
    """Read and validate a training file.

    Raises
    ------
    ValueError : not TOML, an unknown key, or a value out of range; the message names the key and what is allowed.
    OSError : the file can't be read.
    """
    file = Path(path)
    return checked_training(read_toml(file), source=file.name)


def checked_training(content: Mapping[str, object], *, source: str) -> TrainingFile:
    """Return the settings of a table of tables.

    Parameters
    ----------
    content : as TOML gives it.
    source : where it came from, for messages.

    Raises
    ------
    ValueError : an unknown key, or a value out of range.
    """
    try:
        return TrainingFile.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{source}: {sentence(error, _allowed)}") from None


def _allowed(location: Location) -> list[str]:
    tables: dict[str, type[BaseModel]] = {
        "model": ModelTable,
        "corpus": CorpusTable,
        "training": RecipeTable,
        "penalty": PenaltyTable,
        "private": PrivateTable,
    }
    return sorted(tables.get(str(location[0]), TrainingFile).model_fields if len(location) > 1 else TrainingFile.model_fields)
