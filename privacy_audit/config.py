"""The TOML file of an audit, validated: an unknown key is an error that names the key.

[audit]
kind = "training"
train = "my_training:train"      # module:function beside this file, called as train(probe)
delta = 1e-5

[claim]                          # optional; without it the run's own accountant is tested
epsilon = 8.0

[nist]                           # optional: fields of NIST SP 800-226 that only a person can fill
"trust model" = "central"
"""

from __future__ import annotations

import importlib
import sys
import tomllib
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mechanisms.guarantee import Neighboring, PrivacyGuarantee


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class AuditTable(_Table):
    """[audit]: what is audited, and how."""

    kind: Literal["training"]
    train: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")]
    delta: Annotated[float, Field(ge=0, lt=1)]
    n_canaries: Annotated[int, Field(ge=2, le=100_000)] = 1000
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    seed: Annotated[int, Field(ge=0)] | None = None
    title: str = "Audit of a DP-SGD training run"


class ClaimTable(_Table):
    """[claim]: what somebody asserts, under add/remove neighbors and the delta of [audit]."""

    epsilon: Annotated[float, Field(ge=0)]
    neighboring: Literal["add_remove"] = "add_remove"
    privacy_unit: str = "record"
    mechanism: str = ""
    assumptions: list[str] = []


class AuditConfig(_Table):
    """A whole audit file."""

    audit: AuditTable
    claim: ClaimTable | None = None
    nist: dict[str, str] = {}

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


def read_config(path: str | PathLike[str]) -> AuditConfig:
    """Read and validate an audit file.

    Raises
    ------
    ValueError : not TOML, an unknown key, a missing key, or a value out of range; the message names the key and what is allowed.
    OSError : the file can't be read.
    """
    file = Path(path)
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file.name} is not valid TOML: {error}") from error
    try:
        return AuditConfig.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{file.name}: {_sentence(error)}") from error


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}'; allowed in this table: {', '.join(_allowed(first['loc']))}"
    if first["type"] == "missing":
        return f"key '{key}' is missing"
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"key '{key}': {message}"


def _allowed(location: tuple[int | str, ...]) -> list[str]:
    tables: dict[str, type[BaseModel]] = {"audit": AuditTable, "claim": ClaimTable}
    table = tables[str(location[0])] if len(location) > 1 else AuditConfig
    return sorted(table.model_fields)


def load_function(reference: str, *, beside: Path | None = None) -> Callable[..., object]:
    """Import `module:function`, looking in the folder `beside` first.

    Raises
    ------
    ValueError : the reference is not module:function, or the module or the function can't be found.
    """
    module_name, separator, function_name = reference.partition(":")
    if not (separator and module_name and function_name):
        raise ValueError(f"a function is named as module:function, got '{reference}'")
    folder = str((beside or Path.cwd()).resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ValueError(f"module '{error.name}' of '{reference}' was not found; it is looked for beside the audit file") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise ValueError(f"module '{module_name}' has no function '{function_name}'")
    found: Callable[..., object] = function
    return found
