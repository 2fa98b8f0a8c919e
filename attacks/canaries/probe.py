"""CanaryProbe: canaries inside a real Opacus run, in three lines of the user's code.

    probe = CanaryProbe(n_canaries=1000)
    net, data = probe.wrap(net, data)                   # before the optimizer and the loader are made
    ... PrivacyEngine().make_private(...) ...
    probe.attach(optimizer, loader)                     # after make_private, before the first step
    ... train as usual ...
    result = probe.result()

Each canary is in the data with probability 1/2, by a coin of its own (Steinke, Nasr, Jagielski 2023). Signals are read from the weights
(plain SGD, any learning-rate schedule) or from the noisy gradient (momentum, Adam, ...), never before the noise.

Guarantee: the user's weights see no canary gradient; real records cost what they cost without canaries, because each is still drawn by its
own coin with the same probability. The data set grows by about n_canaries / 2 records: hold the sample rate, not the batch size.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import Dataset

from attacks.canaries.engine import (
    ChainedHook,
    EngineFacts,
    accountant_of,
    correlated_design,
    history_of,
    is_plain_sgd,
    normalizer_of,
    read_engine,
)
from attacks.canaries.finding import Finding
from attacks.canaries.marks import CanaryDataset
from attacks.canaries.phantom import PULL, PhantomModule, phantom_weight
from attacks.canaries.preflight import preflight
from attacks.canaries.result import BatchLog, CanaryResult, ClaimedRun, ReadOut
from mechanisms.errors import InsufficientEvidenceError, PrivacyAuditError, UnsupportedClaimError
from mechanisms.randomness import RngLike, as_generator, root_entropy
from mechanisms.validation import one_of, whole_number


class CanaryProbe:
    """Puts canaries into one training run and reads what the run shows of them.

    Parameters
    ----------
    n_canaries : coins thrown, 2 to 100,000; about half of the canaries enter the data. Memory per step: batch x canaries floats, twice.
    rng : int, numpy Generator or None; throws the coins.

    Raises
    ------
    ValueError : n_canaries out of range.
    """

    def __init__(self, n_canaries: int = 1000, *, rng: RngLike = None) -> None:
        self.n_canaries = whole_number(2, n_canaries=n_canaries)
        if self.n_canaries > 100_000:
            raise ValueError(f"n_canaries must be at most 100000, got {n_canaries}")
        generator = as_generator(rng)
        self.entropy = root_entropy(generator)
        self.member = generator.random(self.n_canaries) < 0.5
        self.module: PhantomModule | None = None
        self.engine: EngineFacts | None = None
        self.findings: list[Finding] = []
        self._accountant: Any = None
        self._records: _StepRecords | None = None

    def wrap(self, module: nn.Module, dataset: Dataset[Any]) -> tuple[PhantomModule, CanaryDataset]:
        """Return the module with phantom weights and the data set with the included canaries.

        Parameters
        ----------
        module : takes a tensor (batch first) as its first argument and returns one tensor (batch first). It is trained in place.
        dataset : map-style; items are a tensor, or a tuple that starts with one (float, or signed whole numbers).

        Raises
        ------
        PrivacyAuditError : the probe was used before.
        TypeError, ValueError : the module or the data set can't carry canaries; the message says why.
        """
        if self.module is not None:
            raise PrivacyAuditError("this probe was used before; make a new CanaryProbe for every training run")
        wrapped = CanaryDataset(dataset, np.flatnonzero(self.member).tolist())
        self.module = PhantomModule(module, self.n_canaries)
        return self.module, wrapped

    def attach(self, optimizer: Any, loader: Any, *, readout: str = "auto") -> None:
        """Listen to every step of the optimizer that `make_private` returned; the accountant keeps listening too.

        Parameters
        ----------
        optimizer, loader : what `make_private` returned.
        readout : "auto" reads weight differences of plain SGD and noisy gradients of all else; "weights" and "gradient" force one.

        Raises
        ------
        PrivacyAuditError : `wrap` was not called, `attach` was called twice, or training has begun.
        ValueError : the optimizer does not train the phantom weights, or the loader does not serve the wrapped data set.
        UnsupportedClaimError : correlated noise, which `CorrelatedNoiseProbe` reads.
        """
        readout = one_of(("auto", "weights", "gradient"), readout=readout)
        self._require_noise(optimizer)
        if self.module is None:
            raise PrivacyAuditError("call probe.wrap(module, dataset) before probe.attach(optimizer, loader)")
        if self._records is not None:
            raise PrivacyAuditError("this probe is attached already; make a new CanaryProbe for every training run")
        self.engine = read_engine(optimizer, loader)
        weight = phantom_weight(self.module)
        if not any(parameter is weight for group in optimizer.param_groups for parameter in group["params"]):
            raise ValueError("the optimizer does not train the phantom weights; make it from the module that probe.wrap returned")
        if not isinstance(loader.dataset, CanaryDataset):
            raise ValueError("the loader does not serve the data set that probe.wrap returned")
        self._accountant = accountant_of(optimizer)
        if self._accountant is not None and len(self._accountant.history) > 0:
            raise PrivacyAuditError("the accountant has counted steps already; attach the probe before the first step")
        self.findings = preflight(optimizer, loader, self.module)
        self.module.scale = PULL * self.engine.max_grad_norm
        self.module.mean_loss = self.engine.loss_reduction == "mean"
        self._records = _StepRecords(self.module, readout)
        optimizer.attach_step_hook(ChainedHook(optimizer.step_hook, self._records.on_step))

    def result(self) -> CanaryResult:
        """Return the signals, scores and claim of the finished run.

        Raises
        ------
        InsufficientEvidenceError : no step was taken, no canary reached the module, or the loss pulls canaries less than the clipping norm.
        UnsupportedClaimError : noise multiplier, sample rate or clipping norm changed during the run.
        """
        if self.module is None or self.engine is None or self._records is None:
            raise PrivacyAuditError("call probe.wrap, probe.attach and train before probe.result()")
        records = self._records
        records.check(self.engine)
        signals, readout, gap = records.signals()
        return CanaryResult(
            signals=signals,
            member=self.member,
            displacement=records.displacement(),
            claimed=self._claimed(),
            engine=self.engine,
            batch_log=records.batch_log(self.engine.n_records, self.n_canaries),
            clipped_length=records.clipped_length(),
            readout=readout,
            readout_gap=gap,
            entropy=self.entropy,
        )

    def _require_noise(self, optimizer: Any) -> None:
        if correlated_design(optimizer) is not None:
            raise UnsupportedClaimError(
                "the noise of this optimizer is correlated over steps, which this probe's likelihood doesn't know; use CorrelatedNoiseProbe"
            )

    def _claimed(self) -> ClaimedRun:
        engine = cast(EngineFacts, self.engine)
        history = history_of(self._accountant) if self._accountant is not None else []
        if not history:
            return ClaimedRun(noise_multiplier=engine.noise_multiplier, sample_rate=engine.loader_sample_rate, steps=0)
        if len({(sigma, rate) for sigma, rate, _ in history}) > 1:
            raise UnsupportedClaimError("the noise multiplier or the sample rate changed during the run; only constant ones are audited")
        sigma, rate, _ = history[0]
        return ClaimedRun(noise_multiplier=sigma, sample_rate=rate, steps=sum(steps for _, _, steps in history))


class _StepRecords:
    """What the step hook writes down at every step."""

    def __init__(self, module: PhantomModule, readout: str) -> None:
        self.module = module
        self.readout = readout
        self.start = _values(module.canary_weights())
        self.weights: list[NDArray[np.float32]] = []
        self.gradients: list[NDArray[np.float32]] = []
        self.learning_rates: list[float] = []
        self.normalizers: list[float] = []
        self.norms: list[float] = []
        self.batches: list[list[tuple[int, torch.Tensor]]] = []
        self.clipped: list[tuple[float, int]] | None = []  # sum over a step's canaries before the noise, in clipping norms; how many
        self.plain_sgd = True

    def on_step(self, optimizer: Any) -> None:
        """Write down one step; called after the noise was added and before the weights move."""
        weight = phantom_weight(self.module)
        if weight.grad is None:
            raise PrivacyAuditError("the phantom weights got no gradient; train the module that probe.wrap returned")
        self.weights.append(_values(self.module.canary_weights()))
        self.gradients.append(_values(weight.grad[:-1, 0]))
        self.learning_rates.append(_learning_rate(optimizer, weight))
        self.normalizers.append(normalizer_of(optimizer))
        self.norms.append(float(optimizer.max_grad_norm))
        self.plain_sgd = self.plain_sgd and is_plain_sgd(optimizer)
        self._read_before_noise(weight, float(optimizer.max_grad_norm))
        self.batches.append(self.module.batches)
        self.module.batches = []

    def _read_before_noise(self, weight: nn.Parameter, norm: float) -> None:
        """Sum what the step's canaries add to their coordinates, where the optimizer keeps the sum of clipped gradients."""
        total = getattr(weight, "summed_grad", None)
        if self.clipped is None or not isinstance(total, torch.Tensor) or total.shape != weight.shape:
            self.clipped = None
            return
        ids = [entered for _, entered in self.module.batches if len(entered)]
        if ids:
            entered = torch.cat(ids)
            entered = entered[self.module.present[entered]].to(total.device)
            self.clipped.append((-float(total.detach()[entered, 0].sum()) / norm, len(entered)))

    def check(self, engine: EngineFacts) -> None:
        if not self.gradients:
            raise InsufficientEvidenceError("no optimizer step was seen; train with the optimizer given to probe.attach")
        if len(set(self.norms)) > 1:
            raise UnsupportedClaimError("the clipping norm changed during the run; only a constant one is audited")
        if not any(len(ids) for step in self.batches for _, ids in step):
            raise InsufficientEvidenceError(
                "no canary reached the module; serve the data set that probe.wrap returned and change inputs inside it or inside the module"
            )
        raw = self.module.scale * self.module.weakest_pull
        if raw < engine.max_grad_norm:
            raise InsufficientEvidenceError(
                f"the loss pulls a canary by {raw:.3g}, less than the clipping norm {engine.max_grad_norm:g}; "
                "use a loss whose gradient at output zero is not near zero"
            )

    def gradient_signals(self) -> NDArray[np.float64]:
        factor = np.array(self.normalizers) / np.array(self.norms)
        return np.asarray(-np.array(self.gradients, dtype=np.float64) * factor[:, None], dtype=np.float64)

    def weight_signals(self) -> NDArray[np.float64]:
        path = np.array([*self.weights, _values(self.module.canary_weights())], dtype=np.float64)
        factor = np.array(self.normalizers) / (np.array(self.learning_rates) * np.array(self.norms))
        return np.asarray(np.diff(path, axis=0) * factor[:, None], dtype=np.float64)

    def signals(self) -> tuple[NDArray[np.float64], ReadOut, float | None]:
        moved = all(rate > 0 for rate in self.learning_rates)
        if self.readout == "weights" and not moved:
            raise UnsupportedClaimError('weights can\'t be read where the learning rate is 0; use readout="gradient"')
        from_gradient = self.gradient_signals()
        if not moved or (not self.plain_sgd and self.readout != "weights"):
            return from_gradient, "gradient", None
        from_weights = self.weight_signals()
        gap = float(np.abs(from_weights - from_gradient).max())
        return (from_gradient, "gradient", gap) if self.readout == "gradient" else (from_weights, "weights", gap)

    def displacement(self) -> NDArray[np.float64]:
        moved = _values(self.module.canary_weights()).astype(np.float64) - self.start
        rate = float(np.mean(self.learning_rates))
        return np.asarray(moved * np.mean(self.normalizers) / (np.mean(self.norms) * (rate if rate > 0 else 1.0)), dtype=np.float64)

    def clipped_length(self) -> float | None:
        """Return the mean clipped length of a canary, None where the sums before the noise were not there or make no sense."""
        if not self.clipped:
            return None
        length = sum(total for total, _ in self.clipped) / sum(n for _, n in self.clipped)
        return length if 0 < length < float("inf") else None

    def batch_log(self, n_records: int, n_canaries: int) -> BatchLog:
        canary_in = np.zeros((len(self.batches), n_canaries), dtype=bool)
        for step, passes in enumerate(self.batches):
            for _, ids in passes:
                canary_in[step, ids.cpu().numpy()] = True
        sizes = np.array([sum(n for n, _ in passes) for passes in self.batches], dtype=np.int64)
        return BatchLog(canary_in=canary_in, batch_size=sizes, n_records=n_records)


def _values(tensor: torch.Tensor) -> NDArray[np.float32]:
    return np.array(tensor.detach().reshape(-1).to("cpu", torch.float32).numpy(), dtype=np.float32)


def _learning_rate(optimizer: Any, weight: nn.Parameter) -> float:
    for group in optimizer.param_groups:
        if any(parameter is weight for parameter in group["params"]):
            return float(group["lr"])
    raise PrivacyAuditError("the optimizer no longer trains the phantom weights")
