"""Audit files: what is read, and what is refused in one sentence that names the key."""

import pytest

from mechanisms.guarantee import Neighboring
from privacy_audit.config import read_config
from privacy_audit.user_code import load_function

GOOD = """
[audit]
kind = "training"
train = "my_training:train"
delta = 1e-5
n_canaries = 100
[claim]
epsilon = 8.0
[nist]
"trust model" = "central"
"""


def written(tmp_path, text):
    file = tmp_path / "AUDIT.toml"
    file.write_text(text)
    return file


def test_a_whole_file(tmp_path):
    config = read_config(written(tmp_path, GOOD))
    guarantee = config.guarantee()
    assert guarantee.epsilon == 8.0
    assert guarantee.delta == 1e-5
    assert guarantee.neighboring is Neighboring.ADD_REMOVE
    assert config.audit.level == 0.95
    assert config.nist == {"trust model": "central"}


def test_without_a_claim(tmp_path):
    assert read_config(written(tmp_path, GOOD.split("[claim]")[0])).guarantee() is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_canaries", "n_canary", "unknown key 'audit.n_canary'; allowed in this table: delta, kind, level"),
        ("[nist]", "[extra]", "unknown key 'extra'; allowed in this table: audit, claim, defense, nist"),
        ("epsilon = 8.0", "epsilon = 8.0\nsigma = 1", "unknown key 'claim.sigma'"),
        ("delta = 1e-5", "", "key 'audit.delta' is missing"),
        ("delta = 1e-5", "delta = 1e5", "key 'audit.delta': input should be less than 1"),
        ("delta = 1e-5", "delta = nan", "key 'audit.delta'"),
        ("epsilon = 8.0", "epsilon = -1.0", "key 'claim.epsilon'"),
        ("epsilon = 8.0", 'epsilon = "8"', "key 'claim.epsilon'"),
        ("epsilon = 8.0", 'epsilon = 8.0\nneighboring = "replace"', "key 'claim.neighboring'"),
        ('kind = "training"', 'kind = "table"', "key 'audit.kind'"),
        ("my_training:train", "my_training.train", "key 'audit.train'"),
        ("n_canaries = 100", "n_canaries = 1", "key 'audit.n_canaries'"),
        ("[nist]", "[defense]\ncells = [[1, 1], [1, 1]]\n[nist]", 'table \'defense\' is for kind = "distribution", got kind = "training"'),
        ("[audit]", "[audit", "not valid TOML"),
    ],
)
def test_refusals_name_the_key(tmp_path, old, new, message):
    with pytest.raises(ValueError, match="AUDIT.toml") as caught:
        read_config(written(tmp_path, GOOD.replace(old, new)))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


DISTRIBUTION = """
[audit]
kind = "distribution"
train = "my_training:train"
data = "my_training:data"
ratios = [[0.5, 0.2], [0.5, 1]]
n_train = 1000
delta = 1e-5
[claim]
epsilon = 0.01
neighboring = "replace"
[defense]
cells = [[160, 20], [160, 20]]
"""


def test_a_training_distribution(tmp_path):
    config = read_config(written(tmp_path, DISTRIBUTION))
    assert config.audit.ratios == [[0.5, 0.2], [0.5, 1.0]]
    assert (config.audit.n_shadow, config.audit.n_victim, config.audit.method, config.audit.label_rate) == (50, 100, "quota", None)
    assert config.guarantee().neighboring is Neighboring.REPLACE
    assert config.defense.cells == [[160, 20], [160, 20]]
    for rate in ("0.25", "[0.2, 0.3, 0.5]"):
        assert read_config(written(tmp_path, DISTRIBUTION.replace("[claim]", f"label_rate = {rate}\n[claim]"))).audit.label_rate is not None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_train = 1000", "n_training = 1000", "unknown key 'audit.n_training'; allowed in this table: data, delta, kind, label_rate"),
        ("n_train = 1000", "", "key 'audit.n_train' is missing"),
        ("[[0.5, 0.2], [0.5, 1]]", "[]", "key 'audit.ratios'"),
        ("[[0.5, 0.2], [0.5, 1]]", "[0.5, 0.2]", "key 'audit.ratios.0'"),
        ("[[0.5, 0.2], [0.5, 1]]", "[[0.5, 0.2, 0.1]]", "key 'audit.ratios.0'"),
        ("[[0.5, 0.2], [0.5, 1]]", "[[0.5, 20]]", "key 'audit.ratios.0.1': input should be less than or equal to 1"),
        ('train = "my_training:train"', "", "give either train or trainer"),
        ('train = "my_training:train"', 'train = "a:b"\ntrainer = "a:c"', "give either train or trainer"),
        ('data = "my_training:data"', "", "key 'audit.data' is missing"),
        ("n_train = 1000", 'n_train = 1000\nmethod = "urn"', "key 'audit.method'"),
        ("n_train = 1000", "n_train = 1000\nn_shadow = 3", "key 'audit.n_shadow'"),
        ("n_train = 1000", "n_train = 1000\nlabel_rate = 25.0", "key 'audit.label_rate"),
        ("cells = ", "counts = ", "unknown key 'defense.counts'; allowed in this table: cells"),
        ("[[160, 20], [160, 20]]", "[[160, 20]]", "key 'defense.cells'"),
        ("[[160, 20], [160, 20]]", "[[160, -1], [160, 20]]", "key 'defense.cells.0.1'"),
        ('"replace"', '"zero_out"', "key 'claim.neighboring'"),
    ],
)
def test_refusals_about_a_distribution_name_the_key(tmp_path, old, new, message):
    with pytest.raises(ValueError, match="AUDIT.toml") as caught:
        read_config(written(tmp_path, DISTRIBUTION.replace(old, new, 1)))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_functions_are_looked_for_beside_the_file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "beside_the_file.py").write_text("def train(probe):\n    return 7\n")
    assert load_function("beside_the_file:train", beside=tmp_path)(None) == 7
    for reference, message in [
        ("beside_the_file", "module:function"),
        ("not_there_at_all:train", "'not_there_at_all'"),
        ("beside_the_file:fit", "no function 'fit'"),
    ]:
        with pytest.raises(ValueError, match=message):
            load_function(reference, beside=tmp_path)
