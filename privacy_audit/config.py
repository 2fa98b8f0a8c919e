"""The TOML file of an audit, validated: an unknown key is an error that names the key.

[audit]
kind = "training"
train = "my_training:train"      # module:function beside this file, called as train(probe)
delta = 1e-5

[claim]                          # optional; without it the run's own accountant is tested
epsilon = 8.0

kind = "shadow" trains many models; functions are called without arguments unless said otherwise:
train = "my_training:train"      # called as train(part, rng), or instead: trainer = "my_training:trainer", returns a ShadowTrainer
data = "my_training:data"        # returns (inputs, targets) or a torch data set; likewise population, canary
n_models = 64
executor = "processes:2"         # optional; --executor comes first

kind = "distribution" attacks the distribution that training sets are drawn from:
train = "my_training:train"      # called as train(part, rng), or instead: trainer = "my_training:trainer", returns a lock-step trainer
data = "my_training:data"        # returns (X, y, prop)
ratios = [[0.5, 0.2]]            # shares of prop in world 0 and world 1, one pair for each game
n_train = 1000

[defense]                        # optional, kind = "distribution" only: records kept of each (prop, label) cell
cells = [[100, 100], [100, 100]]

[nist]                           # optional: fields of NIST SP 800-226 that only a person can fill
"trust model" = "central"
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from privacy_audit.toml_table import Location, TomlTable, read_toml, sentence

FunctionName = Annotated[str, Field(pattern=r"^[\w.]+:\w+$")]


class _AuditTable(TomlTable):
    delta: Annotated[float, Field(ge=0, lt=1)]
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95


class TrainingTable(_AuditTable):
    """[audit] of one run with canaries."""

    kind: Literal["training"]
    train: FunctionName
    n_canaries: Annotated[int, Field(ge=2, le=100_000)] = 1000
    seed: Annotated[int, Field(ge=0)] | None = None
    title: str = "Audit of a DP-SGD training run"


class ShadowTable(_AuditTable):
    """[audit] by shadow models; either `train` or `trainer`."""

    kind: Literal["shadow"]
    train: FunctionName | None = None
    trainer: FunctionName | None = None
    data: FunctionName
    population: FunctionName | None = None
    canary: FunctionName | None = None
    n_models: Annotated[int, Field(ge=4, le=100_000)] = 64
    attack: str = "bayes_t"
    stop: Literal["never", "rejected"] = "never"
    group_size: Annotated[int, Field(ge=1)] | None = None
    executor: str | None = None
    seed: Annotated[int, Field(ge=0)] = 0  # fixed: a crashed run finds its coins again
    title: str = "Audit by shadow models"

    @model_validator(mode="after")
    def _one_way_to_train(self) -> Self:
        if (self.train is None) == (self.trainer is None):
            raise ValueError("give either train or trainer")
        return self


Share = Annotated[float, Field(ge=0, le=1)]


class DistributionTable(_AuditTable):
    """[audit] of a training distribution; either `train` or `trainer`."""

    kind: Literal["distribution"]
    train: FunctionName | None = None
    trainer: FunctionName | None = None
    data: FunctionName
    ratios: Annotated[list[Annotated[list[Share], Field(min_length=2, max_length=2)]], Field(min_length=1, max_length=100)]
    n_train: Annotated[int, Field(ge=1)]
    n_shadow: Annotated[int, Field(ge=4, le=100_000)] = 50
    n_victim: Annotated[int, Field(ge=2, le=100_000)] = 100
    n_queries: Annotated[int, Field(ge=2)] = 1000
    method: Literal["quota", "iid"] = "quota"
    label_rate: Share | list[Share] | None = None
    seed: Annotated[int, Field(ge=0)] | None = None
    title: str = "Audit of a training distribution"

    @model_validator(mode="after")
    def _one_way_to_train(self) -> Self:
        if (self.train is None) == (self.trainer is None):
            raise ValueError("give either train or trainer")
        return self


class DefenseTable(TomlTable):
    """[defense] of kind "distribution": training sets are thinned to these counts, one row per value of prop, one column per class."""

    cells: Annotated[list[list[Annotated[int, Field(ge=0)]]], Field(min_length=2, max_length=2)]


class ClaimTable(TomlTable):
    """[claim]: what somebody asserts, at the delta of [audit]; replace neighbors are for kind "distribution" only."""

    epsilon: Annotated[float, Field(ge=0)]
    neighboring: Literal["add_remove", "replace"] = "add_remove"
    privacy_unit: str = "record"
    mechanism: str = ""
    assumptions: list[str] = Field(default_factory=list)


class AuditConfig(TomlTable):
    """A whole audit file."""

    audit: Annotated[TrainingTable | ShadowTable | DistributionTable, Field(discriminator="kind")]
    claim: ClaimTable | None = None
    defense: DefenseTable | None = None
    nist: dict[str, str] = Field(default_factory=dict)

    def guarantee(self) -> PrivacyGuarantee | None:
        """Return the claim as a guarantee, or None where the file claims nothing."""
        if self.claim is None:
            return None
        return PrivacyGuarantee(
            epsilon=self.claim.epsilon,
            delta=self.audit.delta,
            neighboring=Neighboring(self.claim.neighboring),
            privacy_unit=self.claim.privacy_unit,
            mechanism=self.claim.mechanism,
            assumptions=tuple(self.claim.assumptions),
        )


_KINDS: dict[str, type[_AuditTable]] = {"training": TrainingTable, "shadow": ShadowTable, "distribution": DistributionTable}


def read_config(path: str | PathLike[str]) -> AuditConfig:
    """Read and validate an audit file.

    Raises
    ------
    ValueError : not TOML, an unknown key, a missing key, or a value out of range; the message names the key and what is allowed.
    OSError : the file can't be read.
    """
    file = Path(path)
    try:
        config = AuditConfig.model_validate(read_toml(file))
    except ValidationError as error:
        raise ValueError(f"{file.name}: {sentence(error, _allowed, kinds=_KINDS)}") from error
    misplaced = _misplaced(config)
    if misplaced:
        raise ValueError(f"{file.name}: {misplaced}")
    return config


def _misplaced(config: AuditConfig) -> str:
    """Say what stands in the file that its kind of audit has no use for; empty if nothing."""
    if isinstance(config.audit, DistributionTable):
        return ""
    if config.defense is not None:
        return f'table \'defense\' is for kind = "distribution", got kind = "{config.audit.kind}"; leave it out'
    if config.claim is not None and config.claim.neighboring != "add_remove":
        return f"key 'claim.neighboring': must be 'add_remove' for kind = \"{config.audit.kind}\", which adds or leaves out records"
    return ""


def _allowed(location: Location) -> list[str]:
    tables: dict[str, type[BaseModel]] = {**_KINDS, "claim": ClaimTable, "defense": DefenseTable}
    table = next((tables[str(part)] for part in location[:-1] if part in tables), AuditConfig)
    return sorted(table.model_fields)
