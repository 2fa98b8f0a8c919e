"""Attention that is cheap under secure computation: models, entropy of their heads, exact folding, and a cost that is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mechanisms.lazy import lazy_names

if TYPE_CHECKING:
    from private_inference.attention import NonFiniteAttentionError as NonFiniteAttentionError
    from private_inference.config import PIGPTConfig as PIGPTConfig
    from private_inference.cost.census import census as census
    from private_inference.cost.comparison import compare as compare
    from private_inference.cost.estimate import estimate_cost as estimate_cost
    from private_inference.cost.network import Network as Network
    from private_inference.cost.profile_file import load_profile as load_profile
    from private_inference.cost.public_shift import calibrate_public_shift as calibrate_public_shift
    from private_inference.engine.measure import MeasuredCost as MeasuredCost
    from private_inference.engine.measure import measure_cost as measure_cost
    from private_inference.folding.conditioning import conditioning_penalty as conditioning_penalty
    from private_inference.folding.fold import fold as fold
    from private_inference.folding.fold_report import FoldReport as FoldReport
    from private_inference.folding.folded_gpt import FoldedGPT as FoldedGPT
    from private_inference.gpt import PIGPT as PIGPT
    from private_inference.heads.bands import EntropyBands as EntropyBands
    from private_inference.heads.bands import entropy_bands as entropy_bands
    from private_inference.heads.diagnosis import EntropyReport as EntropyReport
    from private_inference.heads.diagnosis import HealthLimits as HealthLimits
    from private_inference.heads.diagnosis import diagnose as diagnose
    from private_inference.heads.entropy import attention_entropy as attention_entropy
    from private_inference.heads.entropy import causal_max_entropy as causal_max_entropy
    from private_inference.heads.guided_loss import GuidedLoss as GuidedLoss
    from private_inference.heads.penalty import EntropyPenalty as EntropyPenalty
    from private_inference.heads.tracker import EntropyTracker as EntropyTracker
    from private_inference.training.corpus import standard_library as standard_library
    from private_inference.training.corpus import text_folder as text_folder
    from private_inference.training.private_training import train_private as train_private
    from private_inference.training.recipe import TrainingRecipe as TrainingRecipe
    from private_inference.training.result import TrainingResult as TrainingResult
    from private_inference.training.saved_model import load_model as load_model
    from private_inference.training.saved_model import save_model as save_model
    from private_inference.training.sequence_signals import head_entropies as head_entropies
    from private_inference.training.sequence_signals import sequence_losses as sequence_losses
    from private_inference.training.tokenized_corpus import TokenizedCorpus as TokenizedCorpus
    from private_inference.training.tokenized_corpus import tokenize_corpus as tokenize_corpus
    from private_inference.training.train import train_model as train_model

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "NonFiniteAttentionError": "private_inference.attention",
        "EntropyBands": "private_inference.heads.bands",
        "entropy_bands": "private_inference.heads.bands",
        "census": "private_inference.cost.census",
        "conditioning_penalty": "private_inference.folding.conditioning",
        "PIGPTConfig": "private_inference.config",
        "estimate_cost": "private_inference.cost.estimate",
        "compare": "private_inference.cost.comparison",
        "EntropyReport": "private_inference.heads.diagnosis",
        "HealthLimits": "private_inference.heads.diagnosis",
        "diagnose": "private_inference.heads.diagnosis",
        "MeasuredCost": "private_inference.engine.measure",
        "measure_cost": "private_inference.engine.measure",
        "attention_entropy": "private_inference.heads.entropy",
        "causal_max_entropy": "private_inference.heads.entropy",
        "FoldReport": "private_inference.folding.fold_report",
        "FoldedGPT": "private_inference.folding.folded_gpt",
        "fold": "private_inference.folding.fold",
        "PIGPT": "private_inference.gpt",
        "GuidedLoss": "private_inference.heads.guided_loss",
        "Network": "private_inference.cost.network",
        "EntropyPenalty": "private_inference.heads.penalty",
        "load_profile": "private_inference.cost.profile_file",
        "calibrate_public_shift": "private_inference.cost.public_shift",
        "EntropyTracker": "private_inference.heads.tracker",
        "standard_library": "private_inference.training.corpus",
        "text_folder": "private_inference.training.corpus",
        "tokenize_corpus": "private_inference.training.tokenized_corpus",
        "TokenizedCorpus": "private_inference.training.tokenized_corpus",
        "TrainingRecipe": "private_inference.training.recipe",
        "TrainingResult": "private_inference.training.result",
        "train_model": "private_inference.training.train",
        "train_private": "private_inference.training.private_training",
        "save_model": "private_inference.training.saved_model",
        "load_model": "private_inference.training.saved_model",
        "head_entropies": "private_inference.training.sequence_signals",
        "sequence_losses": "private_inference.training.sequence_signals",
    },
)
