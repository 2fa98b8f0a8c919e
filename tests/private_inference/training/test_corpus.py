"""Corpora: split by file, the same every time, and cut into sequences that don't overlap."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

from mechanisms.errors import MissingLibraryError
from private_inference.training import tokenizer as tokenizer_module
from private_inference.training.corpus import TextCorpus, standard_library, text_folder
from private_inference.training.tokenized_corpus import TokenizedCorpus, tokenize_corpus
from private_inference.training.tokenizer import BytePairTokenizer, train_tokenizer

TEXTS = ("for i in range(10):\n    total += i\n" * 20, "def f(x):\n    return x + 1\n" * 20, "für ∑ \U0001f600\n" * 5)


def folder(tmp_path, n=10):
    (tmp_path / "deep").mkdir()
    for i in range(n):
        (tmp_path / ("deep" if i % 2 else ".") / f"file{i}.txt").write_text(f"text of file {i}\n" * (i + 1))
    (tmp_path / "picture.png").write_bytes(b"\xff\xfe")
    return tmp_path


def test_the_standard_library_is_split_by_file():
    corpus = standard_library()
    assert set(corpus.train).isdisjoint({text for text in corpus.held_out if len(text) > 200})
    n, n_held_out = len(corpus.train) + len(corpus.held_out), len(corpus.held_out)
    assert n > 300
    assert abs(n_held_out / n - 0.1) < 0.02
    counts = corpus.to_dict()
    assert counts["n_train_characters"] > 5 * counts["n_held_out_characters"]


def test_another_seed_splits_otherwise(tmp_path):
    place = folder(tmp_path)
    one, same, other = (text_folder(place, rng=seed) for seed in (1, 1, 2))
    assert one == same
    assert one.digest == same.digest != other.digest
    assert sorted(one.train + one.held_out) == sorted(other.train + other.held_out)
    assert len(one.held_out) == 1


def test_only_files_with_the_suffixes_are_read(tmp_path):
    place = folder(tmp_path)
    with pytest.raises(ValueError, match=r"'picture.png' is no UTF-8 text"):
        text_folder(place, suffixes=(".txt", ".png"))
    with pytest.raises(ValueError, match=r"at least two files ending in \.rst, got 0"):
        text_folder(place, suffixes=(".rst",))
    with pytest.raises(ValueError, match="must be a folder"):
        text_folder(place / "nowhere")
    with pytest.raises(ValueError, match=r"held_out_share must be in \(0, 1\), got 1"):
        text_folder(place, held_out_share=1)


def test_a_corpus_without_text_on_one_side_is_refused():
    with pytest.raises(ValueError, match="held_out of corpus 'x' must have at least one file with text"):
        TextCorpus("x", ("text",), ("", ""))


def test_texts_come_back_from_the_tokenizer(tmp_path):
    pytest.importorskip("tokenizers")
    made = train_tokenizer(TEXTS, vocab_size=300)
    assert 257 < made.vocab_size <= 300
    for text in (*TEXTS, "never seen: ŋ \x00 \t", ""):
        assert made.decode(made.encode(text)) == text
    made.save(tmp_path / "tokenizer.json")
    loaded = BytePairTokenizer.load(tmp_path / "tokenizer.json")
    assert loaded == made == pickle.loads(pickle.dumps(made)) == copy.deepcopy(made)
    assert np.array_equal(loaded.encode(TEXTS[0]), made.encode(TEXTS[0]))


def test_the_tokenizer_is_the_same_every_time_and_sees_the_training_side_only():
    pytest.importorskip("tokenizers")
    corpus = TextCorpus("x", TEXTS, ("zzqq" * 500,))
    made = tokenize_corpus(corpus, vocab_size=300)
    assert made.tokenizer == train_tokenizer(TEXTS, vocab_size=300)
    assert made.tokenizer is not None
    assert len(made.tokenizer.encode("zzqq")) == 4  # no pair of the held-out side was learned
    leaking = train_tokenizer((*TEXTS, *corpus.held_out), vocab_size=300)
    assert len(leaking.encode("zzqq")) < 4


def test_characters_and_bytes_per_token():
    pytest.importorskip("tokenizers")
    made = tokenize_corpus(TextCorpus("x", TEXTS, TEXTS[2:]), vocab_size=280)
    assert made.characters_per_token == len(TEXTS[2]) / len(made.held_out)
    assert made.bytes_per_token == len(TEXTS[2].encode()) / len(made.held_out)
    assert made.to_dict()["n_held_out_tokens"] == len(made.held_out)
    ends = made.tokenizer.end_id if made.tokenizer else -1
    assert int((made.train == ends).sum()) == len(TEXTS)


def test_vocabulary_out_of_range():
    for n in (256, 65537):
        with pytest.raises(ValueError, match="vocab_size must be"):
            train_tokenizer(TEXTS, vocab_size=n)


def test_something_else_than_a_tokenizer_is_refused():
    pytest.importorskip("tokenizers")
    with pytest.raises(ValueError, match="json must be the definition of a tokenizer"):
        BytePairTokenizer('{"secret": 1}')


def test_without_the_library_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingLibraryError, match=r'pip install "privacy-audit\[tokenizers\]"'):
        tokenizer_module.train_tokenizer(TEXTS, vocab_size=300)


def test_sequences_follow_the_ids_and_do_not_overlap():
    corpus = TokenizedCorpus("x", np.arange(23) % 20, np.arange(50) % 20, 20)
    rows = corpus.train_sequences(4)
    assert rows.shape == (4, 5)
    assert np.array_equal(rows.ravel(), corpus.train[:20])
    few = corpus.held_out_sequences(4, most=3)
    assert np.array_equal(few, corpus.held_out_sequences(4)[[0, 3, 6]])
    assert corpus.held_out_sequences(4, most=100).shape == (10, 5)
    with pytest.raises(ValueError, match="block_size must be below the 23 tokens of the train side, got 23"):
        corpus.train_sequences(23)


def test_bits_per_byte():
    corpus = TokenizedCorpus("x", np.zeros(9), np.zeros(9), 4, characters_per_token=2.0, bytes_per_token=2.5)
    assert corpus.bits_per_byte(math.log(2)) == pytest.approx(0.4)


@pytest.mark.parametrize("ids", [np.zeros(1), np.zeros((2, 2)), np.array([0, 4]), np.array([0, -1])])
def test_ids_that_do_not_fit_are_refused(ids):
    with pytest.raises(ValueError, match=r"train must be at least two ids in \[0, 4\)"):
        TokenizedCorpus("x", ids, np.zeros(5), 4)


def test_ids_stay_read_only_after_pickling():
    corpus = TokenizedCorpus("x", np.zeros(9), np.zeros(9), 4)
    for one in (corpus, pickle.loads(pickle.dumps(corpus)), copy.deepcopy(corpus)):
        assert one.digest == corpus.digest
        with pytest.raises(ValueError, match="read-only"):
            one.train[0] = 1
