"""The guarantee record: what it refuses, how it converts, how it is written and read."""

from __future__ import annotations

import copy
import json
import math
import pickle
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechanisms import Neighboring, PrivacyGuarantee, gaussian_delta
from mechanisms.guarantee import require_same_neighboring


def guarantee(epsilon: float = 1.0, delta: float = 1e-5, neighboring: Neighboring = Neighboring.ADD_REMOVE) -> PrivacyGuarantee:
    return PrivacyGuarantee(epsilon, delta, neighboring, mechanism="test", assumptions=("one", "two"))


@pytest.mark.parametrize("epsilon", [-1e-300, -1.0, math.nan, -math.inf])
def test_bad_epsilon_is_refused(epsilon: float):
    with pytest.raises(ValueError, match="epsilon"):
        guarantee(epsilon)


@pytest.mark.parametrize("delta", [-1e-9, 1.0, 1e5, math.nan, math.inf])
def test_bad_delta_is_refused(delta: float):
    with pytest.raises(ValueError, match="delta"):
        guarantee(delta=delta)


@pytest.mark.parametrize("value", ["1", None, True, [1.0], b"1"])
def test_values_of_another_type_are_refused(value: object):
    with pytest.raises(TypeError, match="epsilon must be a number"):
        PrivacyGuarantee(value, 0.0, Neighboring.REPLACE)  # type: ignore[arg-type]


@pytest.mark.parametrize("neighboring", ["add_remove", True, None])
def test_neighboring_must_be_named_by_the_enum(neighboring: object):
    with pytest.raises(TypeError, match=r"Neighboring\.ADD_REMOVE"):
        PrivacyGuarantee(1.0, 0.0, neighboring)  # type: ignore[arg-type]


def test_record_is_frozen():
    with pytest.raises(FrozenInstanceError):
        guarantee().epsilon = 0.0  # type: ignore[misc]


@pytest.mark.parametrize("epsilon", [0.0, 1.5, math.inf])
@pytest.mark.parametrize("neighboring", Neighboring)
def test_record_survives_json_pickle_and_copy(epsilon: float, neighboring: Neighboring):
    record = guarantee(epsilon, 0.25, neighboring)
    assert PrivacyGuarantee.from_dict(json.loads(json.dumps(record.to_dict(), allow_nan=False))) == record
    assert pickle.loads(pickle.dumps(record)) == copy.deepcopy(record) == record


def test_assumptions_become_a_tuple_and_text_is_refused_on_reading():
    assert PrivacyGuarantee(1.0, 0.0, Neighboring.REPLACE, assumptions=["a"]).assumptions == ("a",)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="assumptions"):
        PrivacyGuarantee.from_dict({**guarantee().to_dict(), "assumptions": "a"})


def test_conversion_to_replacement_is_group_privacy_of_two():
    converted = guarantee(1.0, 1e-5).to_replace()
    assert converted.epsilon == 2.0
    assert converted.delta == pytest.approx((1 + math.e) * 1e-5, rel=1e-12)
    assert converted.neighboring is Neighboring.REPLACE
    assert converted.mechanism == "test"


@given(mu=st.floats(0.05, 3), epsilon=st.floats(0, 5))
def test_conversion_holds_for_the_gaussian_mechanism(mu: float, epsilon: float):
    """Replacing doubles mu; the converted guarantee must cover the doubled curve."""
    delta = gaussian_delta(mu, epsilon)
    if (1 + math.exp(epsilon)) * delta < 1:
        converted = guarantee(epsilon, delta).to_replace()
        assert gaussian_delta(2 * mu, converted.epsilon) <= converted.delta * (1 + 1e-9)


def test_conversion_refuses_what_it_cannot_say():
    with pytest.raises(ValueError, match="only an add_remove"):
        guarantee(neighboring=Neighboring.REPLACE).to_replace()
    with pytest.raises(ValueError, match="not below 1"):
        guarantee(20.0, 1e-5).to_replace()
    assert guarantee(math.inf, 0.0).to_replace().epsilon == math.inf


def test_different_relations_are_never_compared():
    require_same_neighboring(Neighboring.REPLACE, Neighboring.REPLACE)
    with pytest.raises(ValueError, match="add_remove and replace"):
        require_same_neighboring(Neighboring.ADD_REMOVE, Neighboring.REPLACE)
