"""The exception tree: every error of this product that is not a plain ValueError or TypeError."""


class PrivacyAuditError(Exception):
    """Base of all errors raised on purpose by this distribution."""


class BudgetExhaustedError(PrivacyAuditError):
    """A mechanism was asked for more than its privacy budget allows."""


class UnsupportedClaimError(PrivacyAuditError):
    """A claim, an engine or an accountant setting that we refuse to approximate."""


class InsufficientEvidenceError(PrivacyAuditError):
    """The run left too little evidence for the statement that was asked for."""


class StoreMismatch(PrivacyAuditError):  # noqa: N818
    """A store holds the scores of another experiment; the message names the parts that differ."""


class ShadowRunFailed(PrivacyAuditError):  # noqa: N818
    """Not one group of shadow models could be trained, so there is nothing to attack with."""


class StateError(PrivacyAuditError):
    """The state of a continual release doesn't fit what is asked of it; going on could draw the noise of one step twice."""


class FoldingError(PrivacyAuditError):
    """A model's linear FFNs can't be folded into its attention within the condition number asked for."""


class MissingLibraryError(PrivacyAuditError):
    """An optional library is needed and not installed; the message says how to install it."""


class EngineError(PrivacyAuditError):
    """The secure-computation engine failed, ran out of time, or answered with something else."""


class InsecureNoiseWarning(UserWarning):
    """Protective noise was drawn from a seeded source: the release is reproducible, not private."""


class WeakEvidenceWarning(UserWarning):
    """The statement holds, but the evidence behind it is weaker than it looks."""


class ConvergenceWarning(UserWarning):
    """A sampler missed its own checks: its figures are not to be relied on."""


class LooseGuaranteeWarning(UserWarning):
    """A guarantee holds, but for parameters at which it protects little."""
