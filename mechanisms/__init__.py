"""The ground floor: what a privacy guarantee is, and everything that has one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mechanisms.lazy import lazy_names

if TYPE_CHECKING:
    from mechanisms.accounting.dp_sgd import dp_sgd_epsilon as dp_sgd_epsilon
    from mechanisms.accounting.dp_sgd import dp_sgd_noise_multiplier as dp_sgd_noise_multiplier
    from mechanisms.accounting.gaussian import gaussian_delta as gaussian_delta
    from mechanisms.accounting.gaussian import gaussian_epsilon as gaussian_epsilon
    from mechanisms.accounting.gaussian import gaussian_mu as gaussian_mu
    from mechanisms.accounting.zcdp import zcdp_delta as zcdp_delta
    from mechanisms.accounting.zcdp import zcdp_epsilon as zcdp_epsilon
    from mechanisms.accounting.zcdp import zcdp_rho as zcdp_rho
    from mechanisms.guarantee import Neighboring as Neighboring
    from mechanisms.guarantee import PrivacyGuarantee as PrivacyGuarantee

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Neighboring": "mechanisms.guarantee",
        "PrivacyGuarantee": "mechanisms.guarantee",
        "gaussian_delta": "mechanisms.accounting.gaussian",
        "gaussian_epsilon": "mechanisms.accounting.gaussian",
        "gaussian_mu": "mechanisms.accounting.gaussian",
        "zcdp_rho": "mechanisms.accounting.zcdp",
        "zcdp_epsilon": "mechanisms.accounting.zcdp",
        "zcdp_delta": "mechanisms.accounting.zcdp",
        "dp_sgd_epsilon": "mechanisms.accounting.dp_sgd",
        "dp_sgd_noise_multiplier": "mechanisms.accounting.dp_sgd",
    },
)
