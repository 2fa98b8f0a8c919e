"""Static checks before training: exact, no statistics, no training (membership_inference.md 4.5).

The costliest mistake needs no attack to be found. Opacus divides by E = int(N / n_batches) and samples at 1 / n_batches: both depend on the
size N of the data set, which is what add/remove privacy hides. Where a neighbor has E2 instead of E1, the update's noise has another scale
in each of d coordinates in each of T steps, a Gaussian pair with

    mu = 2 ln(E2 / E1) sqrt(d T / 2)

that comes on top of everything the accountant counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from attacks.canaries.engine import accountant_of, accounted_sample_rate, correlated_design, is_poisson, loader_sample_rate, read_engine
from attacks.canaries.finding import Finding
from mechanisms.validation import whole_number

LARGEST_MU = 0.05
SEEDED_BY_HAND = 2**32  # seeds drawn by torch itself are far larger


def preflight(
    optimizer: Any, loader: Any, module: nn.Module | None = None, *, steps: int | None = None, fixed_normalizer: bool = False
) -> list[Finding]:
    """Check an Opacus engine before its first step.

    Parameters
    ----------
    optimizer, loader : what `make_private` returned.
    module : the private module; without it, checks of its layers are left out.
    steps : planned optimizer steps; one pass over the loader if not given.
    fixed_normalizer : say True if the expected batch size was set by hand and does not follow the data.

    Returns
    -------
    Findings, errors first; an empty list says that nothing was found, not that the run is private.

    Raises
    ------
    TypeError : the optimizer was not made by `make_private`.
    UnsupportedClaimError : per-layer or adaptive clipping.
    """
    read_engine(optimizer, loader)
    if correlated_design(optimizer) is not None:
        return _correlated(optimizer, module)
    planned = len(loader) if steps is None else whole_number(1, steps=steps)
    findings = [*_normalizer(optimizer, loader, planned, fixed_normalizer), *_sampling(optimizer, loader), *_noise(optimizer)]
    if module is not None:
        findings += [*_layers(module), *_parameters(optimizer, module)]
    return sorted(findings, key=lambda finding: finding.severity != "error")


def _correlated(optimizer: Any, module: nn.Module | None) -> list[Finding]:
    """Check a run with correlated noise: its optimizer refuses wrong batches itself, and zeroing a record out leaves the size as it is."""
    findings = [] if module is None else [*_layers(module), *_parameters(optimizer, module)]
    findings = [finding for finding in findings if finding.name != "gradient_accumulation"]  # batches of one step are counted together
    if accountant_of(optimizer) is None:
        findings.append(_no_accountant())
    if not optimizer.noise.source.secure:
        findings.append(_seeded_noise())
    return sorted(findings, key=lambda finding: finding.severity != "error")


def normalizer_mu(first: float, second: float, *, n_parameters: int, steps: int) -> float:
    """Return the Gaussian-DP mu of telling two normalizers apart from the scale of the update's noise."""
    return 2 * abs(math.log(second / first)) * math.sqrt(n_parameters * steps / 2)


def opacus_normalizer(n_records: int, batch_size: int) -> tuple[int, int]:
    """Return (expected batch size, batches) as `make_private` derives them from the size of the data set."""
    batches = -(-n_records // batch_size)
    return int(n_records * (1 / batches)), batches


def _normalizer(optimizer: Any, loader: Any, steps: int, fixed: bool) -> Iterator[Finding]:
    n = len(loader.dataset)
    batches = round(1 / loader_sample_rate(loader))
    if fixed or optimizer.loss_reduction != "mean" or n < 2:
        return
    if optimizer.expected_batch_size != int(n * (1 / batches)):
        return  # set by hand
    d = sum(p.numel() for group in optimizer.param_groups for p in group["params"] if p.requires_grad)
    for neighbor in (n - 1, n + 1):
        other = int(neighbor * (1 / batches))
        if other == optimizer.expected_batch_size or other == 0:
            continue
        mu = normalizer_mu(optimizer.expected_batch_size, other, n_parameters=d, steps=steps)
        if mu > LARGEST_MU:
            yield Finding(
                "normalizer_depends_on_n",
                "error",
                f"the expected batch size is derived from the size of the data set: {n} records give {optimizer.expected_batch_size}, "
                f"a neighbor with {neighbor} gives {other}. The scale of the noise in {d} weights over {steps} steps tells them apart "
                f"(mu = {mu:.3g}), and no accountant counts it. Set optimizer.expected_batch_size by hand to a number that does not "
                "follow the data.",
            )


def _sampling(optimizer: Any, loader: Any) -> Iterator[Finding]:
    accounted, actual = accounted_sample_rate(optimizer), loader_sample_rate(loader)
    if accountant_of(optimizer) is None:
        yield _no_accountant()
    if not is_poisson(loader):
        yield Finding(
            "not_poisson",
            "error",
            "the loader does not draw an independent coin for every record (it shuffles or goes in order), but the accountant assumes "
            "it does. Use the loader that make_private returned with poisson_sampling=True.",
        )
    if accounted is not None and abs(accounted - actual) > 1e-9 * actual:
        yield Finding(
            "sample_rate_differs",
            "error",
            f"the loader draws records with probability {actual:.6g}, the accountant charges for {accounted:.6g}. "
            "Train with the loader that make_private returned.",
        )


def _noise(optimizer: Any) -> Iterator[Finding]:
    if optimizer.secure_mode:
        return
    seed = torch.initial_seed() if optimizer.generator is None else optimizer.generator.initial_seed()
    if seed < SEEDED_BY_HAND:
        yield _seeded_noise()


def _no_accountant() -> Finding:
    return Finding(
        "no_accountant",
        "error",
        "no accountant listens to the optimizer's steps: its step hook was replaced or never attached. "
        "Attach the accountant's hook again; Opacus keeps only one hook, so chain to the old one.",
    )


def _seeded_noise() -> Finding:
    return Finding(
        "seeded_noise",
        "warning",
        "the noise comes from a generator that was seeded by hand: runs with the same seed have the same noise, and whoever knows "
        "the seed can subtract it. Leave the generator unseeded for a release.",
    )


def _layers(module: nn.Module) -> Iterator[Finding]:
    mixing = sorted({type(layer).__name__ for layer in module.modules() if isinstance(layer, _BatchNorm)})
    for name in mixing:
        message = f"{name} mixes the records of a batch, so no record's gradient is its own; use GroupNorm or LayerNorm."
        yield Finding("batch_norm", "error", message)
    if getattr(module, "grad_accumulation_allowed", False):
        yield Finding(
            "gradient_accumulation",
            "warning",
            "the module accumulates gradients over several batches in one step, so its sample rate is not the loader's; "
            "use Opacus's BatchMemoryManager, which splits one drawn batch.",
        )


def _parameters(optimizer: Any, module: nn.Module) -> Iterator[Finding]:
    private = {id(p) for group in optimizer.param_groups for p in group["params"]}
    trainable = {name: p for name, p in module.named_parameters() if p.requires_grad}
    elsewhere = sorted(name for name, p in trainable.items() if id(p) not in private)
    if elsewhere:
        yield Finding(
            "not_in_the_private_optimizer",
            "warning",
            f"{len(elsewhere)} trainable parameters are not in the private optimizer ({', '.join(elsewhere[:3])}, ...). "
            "If a second optimizer trains them, nothing protects that training; freeze them or hand them to the private one.",
        )
    if not hasattr(module, "grad_accumulation_allowed") and not hasattr(module, "autograd_grad_sample_hooks"):
        yield Finding(
            "no_per_record_gradients",
            "error",
            "the module computes no per-record gradients, so nothing can be clipped; train the module that make_private returned.",
        )
