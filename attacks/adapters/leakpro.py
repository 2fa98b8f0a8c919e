"""Results of membership attacks by LeakPro (aidotse/LeakPro).

`MIAResult.save` writes `data_objects/ATTACK_ID.json`: among others `result_type` "MIAResult", `signal_values` (n,), documented as large for
members, and `true_labels` (n,), 1 for members. Attacks that give guesses only (YOQO, QMIA) have no signal values. Earlier releases
wrote a `data.json` with other keys (`resulttype`), whose signals had no settled direction; those are refused.
"""

from __future__ import annotations

import os

import numpy as np

from attacks.adapters.array_files import existing, read_json_object
from attacks.scores import MembershipScores


def read_leakpro(path: str | os.PathLike[str]) -> MembershipScores:
    """Read the JSON file of one attack.

    Parameters
    ----------
    path : the file `data_objects/ATTACK_ID.json` of LeakPro's output folder.

    Returns
    -------
    One score per audited record, in the order of the file.

    Raises
    ------
    FileNotFoundError : no such file.
    ValueError : another format, a result without signal values, or values that `MembershipScores` refuses.

    References
    ----------
    LeakPro; file format as of `leakpro/reporting/mia_result.py` and `leakpro/schemas.py` in June 2026.
    """
    file = existing(path, suffix=".json")
    record = read_json_object(file)
    if "resulttype" in record:
        raise ValueError(
            f"{file.name} was written by an earlier LeakPro, whose signals have no settled direction; save it with a current one"
        )
    if record.get("result_type") != "MIAResult":
        raise ValueError(f"{file.name} must be a LeakPro result with result_type 'MIAResult'")
    if record.get("signal_values") is None:
        raise ValueError(f"{file.name} holds guesses, no signal values; its counts tp, fp, tn, fn can be passed to AttackCounts")
    columns = {name: _numbers(file.name, name, record.get(name)) for name in ("signal_values", "true_labels")}
    return MembershipScores(columns["signal_values"], columns["true_labels"])


def _numbers(file: str, name: str, value: object) -> np.ndarray:
    if not isinstance(value, list) or not all(isinstance(item, int | float) for item in value):
        raise ValueError(f"{file} must hold {name!r} as a list of numbers")
    return np.array(value, dtype=np.float64)
