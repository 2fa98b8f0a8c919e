import numpy as np
import pytest
from scipy.stats import binom

from attacks.distribution.kl_test import KLTest
from attacks.distribution.loss_test import LossTest
from attacks.distribution.output_meta_classifier import OutputMetaClassifier
from attacks.distribution.selection import accuracy_interval, best_on_victims, bonferroni_level, select_attack
from attacks.distribution.shadow_accuracy import shadow_accuracy
from attacks.scores import AttackCounts
from mechanisms.errors import InsufficientEvidenceError
from tests.attacks.distribution.simulated import SimulatedModels


def counts(tp, tn, n):
    return AttackCounts(tp=tp, fn=n - tp, tn=tn, fp=n - tn)


def test_the_better_attack_is_selected_and_fitted(rng):
    law = SimulatedModels(rng, effect=2.0)
    shadows = law.of(0, 30), law.of(1, 30)
    attacks = {"loss": LossTest(), "output": OutputMetaClassifier(), "kl": KLTest()}
    found = select_attack(attacks, *shadows, rng=1)
    assert found.name in ("output", "kl")
    assert found.accuracies.keys() == attacks.keys()
    assert found.attack.score(law.of(0, 30), law.of(1, 30)) > 0.9
    again = select_attack(attacks, *shadows, rng=1)
    assert again.accuracies == found.accuracies
    assert not hasattr(attacks[found.name], "n_shadows_")  # the given attack is cloned


def test_cross_validation_clones_and_refits_on_shadows_only(rng):
    """Oracle: leave-one-out by hand, which with as many folds as models is the same."""
    law = SimulatedModels(rng, effect=0.6)
    first, second = law.of(0, 6), law.of(1, 6)
    expected = shadow_accuracy(KLTest(calibrate=False), first, second, folds=6, rng=3)
    generator = np.random.default_rng(3)
    order = [generator.permutation(6), generator.permutation(6)]
    right = []
    for fold in range(6):
        keep = [np.arange(6) != part[fold] for part in order]
        attack = KLTest(calibrate=False).fit(first[keep[0]], second[keep[1]])
        right += [not attack.predict(first[int(order[0][fold])])[0], attack.predict(second[int(order[1][fold])])[0]]
    assert expected == pytest.approx(np.mean(right))


def test_too_few_shadows_and_no_attack_are_refused(rng):
    law = SimulatedModels(rng)
    with pytest.raises(InsufficientEvidenceError, match="too few"):
        select_attack({"kl": KLTest()}, law.of(0, 2), law.of(1, 2))
    with pytest.raises(ValueError, match="attacks must not be empty"):
        select_attack({}, law.of(0, 9), law.of(1, 9))
    with pytest.raises(ValueError, match="at least one attack"):
        best_on_victims({})


def test_the_interval_of_the_best_pays_for_the_choice():
    found = best_on_victims({"a": counts(60, 60, 100), "b": counts(70, 80, 100), "c": counts(50, 50, 100)}, level=0.94)
    assert (found.name, found.accuracy, found.n_attacks) == ("b", 0.75, 3)
    assert found.interval == accuracy_interval(counts(70, 80, 100), level=bonferroni_level(0.94, 3))
    low, high = accuracy_interval(counts(70, 80, 100), level=0.94)
    assert found.interval[0] < low < 0.75 < high < found.interval[1]
    assert bonferroni_level(0.94, 3) == pytest.approx(0.98)


def test_ends_of_the_interval():
    """Level 0.95: each rate at 0.975, one tail 0.0125, so k = n has the lower end 0.0125^(1/n)."""
    low, high = accuracy_interval(counts(50, 50, 50))
    assert (low, high) == (pytest.approx(0.0125 ** (1 / 50)), 1)
    assert accuracy_interval(counts(0, 50, 50)) == (pytest.approx(low / 2), pytest.approx(1 - low / 2))


def test_the_best_of_ten_coins_is_covered_and_without_payment_is_not(rng):
    """2,000 games, 10 attacks that guess, 100 victims a world, level 0.8: misses at most binomial(2000, 0.2), false alarm 1e-6.

    The bare interval of the winner, made at the level of one attack from a normal approximation, misses far more often.
    """
    misses, bare_misses = 0, 0
    for _ in range(2000):
        found = best_on_victims({str(k): counts(*rng.binomial(100, 0.5, size=2), 100) for k in range(10)}, level=0.8)
        misses += not found.interval[0] <= 0.5 <= found.interval[1]
        bare_misses += abs(found.accuracy - 0.5) > 1.2816 * 0.05 / 2**0.5
    assert binom.sf(misses - 1, 2000, 0.2) > 1e-6
    assert binom.sf(bare_misses - 1, 2000, 0.2) < 1e-6
