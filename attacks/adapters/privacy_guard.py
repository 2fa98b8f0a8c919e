"""Scores of PrivacyGuard (facebookresearch/PrivacyGuard).

It writes no score files. Its attacks return an analysis input whose tables `df_train_user` (members) and `df_test_user` (non-members) hold
a column `score`, larger for members, after aggregation one row per user. Whoever kept these tables as files has them as tables again
with any table library; pandas, polars and pyarrow are understood. Its epsilons are not read: they come without the counts behind them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from attacks.scores import MembershipScores

if TYPE_CHECKING:
    from narwhals.typing import IntoDataFrame


def from_privacy_guard(df_train_user: IntoDataFrame, df_test_user: IntoDataFrame) -> MembershipScores:
    """Turn the two tables of an analysis input into scores.

    Parameters
    ----------
    df_train_user : members, one row per user, with the column "score"; other columns are ignored.
    df_test_user : non-members, likewise.

    Returns
    -------
    Members first, each table in its order.

    Raises
    ------
    TypeError : no tables.
    ValueError : a table without a column "score" of numbers, empty cells, or values that `MembershipScores` refuses.

    Notes
    -----
    Rows must be independent trials. With `AggregationType.NONE` a user has several rows; aggregate first.

    References
    ----------
    PrivacyGuard; `analysis/base_analysis_input.py` and `analysis/mia/mia_results.py` as of May 2026.
    """
    inside, outside = _scores(df_train_user=df_train_user), _scores(df_test_user=df_test_user)
    return MembershipScores(np.concatenate([inside, outside]), np.arange(len(inside) + len(outside)) < len(inside))


def _scores(**tables: IntoDataFrame) -> np.ndarray:
    import narwhals as nw

    ((name, native),) = tables.items()
    try:
        table = nw.from_native(native, eager_only=True)
    except TypeError:
        raise TypeError(f"{name} must be a table of pandas, polars or pyarrow, got {type(native).__name__}") from None
    if "score" not in table.columns:
        raise ValueError(f"{name} lacks the column 'score'")
    column = table["score"]
    if not column.dtype.is_numeric():
        raise ValueError(f"{name} must hold numbers in column 'score', got {column.dtype}")
    if column.null_count():
        raise ValueError(f"{name} has {column.null_count()} empty cells in column 'score'")
    return np.asarray(column.to_numpy(), dtype=np.float64)
