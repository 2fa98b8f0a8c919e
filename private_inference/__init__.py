"""Attention that is cheap under secure computation: models, entropy of their heads, exact folding, and a cost that is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mechanisms.lazy import lazy_names

if TYPE_CHECKING:
    from private_inference.attention import NonFiniteAttentionError as NonFiniteAttentionError
    from private_inference.bands import EntropyBands as EntropyBands
    from private_inference.bands import entropy_bands as entropy_bands
    from private_inference.census import census as census
    from private_inference.conditioning import conditioning_penalty as conditioning_penalty
    from private_inference.config import PIGPTConfig as PIGPTConfig
    from private_inference.cost import estimate_cost as estimate_cost
    from private_inference.cost_comparison import compare as compare
    from private_inference.diagnosis import EntropyReport as EntropyReport
    from private_inference.diagnosis import HealthLimits as HealthLimits
    from private_inference.diagnosis import diagnose as diagnose
    from private_inference.engine.measure import MeasuredCost as MeasuredCost
    from private_inference.engine.measure import measure_cost as measure_cost
    from private_inference.entropy import attention_entropy as attention_entropy
    from private_inference.entropy import causal_max_entropy as causal_max_entropy
    from private_inference.fold_report import FoldReport as FoldReport
    from private_inference.folded_gpt import FoldedGPT as FoldedGPT
    from private_inference.folding import fold as fold
    from private_inference.gpt import PIGPT as PIGPT
    from private_inference.guided_loss import GuidedLoss as GuidedLoss
    from private_inference.network import Network as Network
    from private_inference.penalty import EntropyPenalty as EntropyPenalty
    from private_inference.profile_file import load_profile as load_profile
    from private_inference.public_shift import calibrate_public_shift as calibrate_public_shift
    from private_inference.tracker import EntropyTracker as EntropyTracker

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "NonFiniteAttentionError": "private_inference.attention",
        "EntropyBands": "private_inference.bands",
        "entropy_bands": "private_inference.bands",
        "census": "private_inference.census",
        "conditioning_penalty": "private_inference.conditioning",
        "PIGPTConfig": "private_inference.config",
        "estimate_cost": "private_inference.cost",
        "compare": "private_inference.cost_comparison",
        "EntropyReport": "private_inference.diagnosis",
        "HealthLimits": "private_inference.diagnosis",
        "diagnose": "private_inference.diagnosis",
        "MeasuredCost": "private_inference.engine.measure",
        "measure_cost": "private_inference.engine.measure",
        "attention_entropy": "private_inference.entropy",
        "causal_max_entropy": "private_inference.entropy",
        "FoldReport": "private_inference.fold_report",
        "FoldedGPT": "private_inference.folded_gpt",
        "fold": "private_inference.folding",
        "PIGPT": "private_inference.gpt",
        "GuidedLoss": "private_inference.guided_loss",
        "Network": "private_inference.network",
        "EntropyPenalty": "private_inference.penalty",
        "load_profile": "private_inference.profile_file",
        "calibrate_public_shift": "private_inference.public_shift",
        "EntropyTracker": "private_inference.tracker",
    },
)
