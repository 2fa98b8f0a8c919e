"""README table of all attention variants, trained and costed, and which of the expected points their figures meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from experiments.markdown import table
from experiments.pi_variant_cases import BASELINE, FINER, GUIDED, KINDS, TUNED, TUNED_GUIDED, UNGUIDED, Kind
from mechanisms.json_ready import number_from_json

Row = Mapping[str, object]
_FEWEST_GAIN, _LARGEST_GAP, _MOST_UNIFORM, _LARGEST_ERROR = 0.02, 0.15, 0.05, 1e-2
_HEADER = (
    "variant",
    "perplexity",
    "bits a byte",
    "heads by quarter of entropy, %",
    "near uniform",
    "near zero",
    "runs finished",
    "MB as trained",
    "MB folded",
    "messages",
    "logits off by",
)


def variants(rows: list[Row]) -> str:
    """Return the table, what its columns are, and which points are met."""
    cases = list(dict.fromkeys(str(row["case"]) for row in rows))
    return f"{table(_HEADER, [_line(name, rows) for name in cases])}\n\n{_words(rows)}\n\n{held_to(rows)}"


def held_to(rows: list[Row]) -> str:
    """Return one line a point: whether it is met, and by what figures."""
    pairs = ((UNGUIDED, GUIDED, "all with one optimizer"), (TUNED, TUNED_GUIDED, "each with the recipe tuned for it"))
    gains, gaps = [_gain(rows, *pair) for pair in pairs], [_gap(rows, guided, words) for _, guided, words in pairs]
    points = (_overload(rows), _uniform(rows), *gains, *gaps, _logits(rows))
    return "\n".join(f"- {'Met' if met else 'Not met'}: {words}" for met, words in points)


def _line(name: str, rows: list[Row]) -> list[object]:
    runs, costs = _training(rows, name), _costs(rows, name)
    finished = [row for row in runs if row["status"] == "finished"]
    quarters = [_mean([_list(row["bands"])[k] for row in runs if row["bands"] is not None]) for k in range(4)]
    ends = [_mean([number_from_json(row[end]) for row in runs if row[end] is not None]) for end in ("near_uniform", "near_zero")]
    return [
        name,
        _range([number_from_json(row["perplexity"]) for row in finished]),
        f"{_mean([number_from_json(row['bits_per_byte']) for row in finished]):.3f}" if finished else "",
        " / ".join(f"{100 * share:.0f}" for share in quarters),
        *(f"{end:.0%}" for end in ends),
        _status(runs),
        *(_megabytes(costs, folded=folded) for folded in (False, True)),
        _messages(costs),
        _error(costs),
    ]


def _status(runs: list[Row]) -> str:
    broken = [str(row["steps"]) for row in runs if row["status"] == "diverged"]
    finished = f"{len(runs) - len(broken)} of {len(runs)}"
    return f"{finished}, diverged after step {', '.join(broken)}" if broken else finished


def _megabytes(costs: list[Row], *, folded: bool) -> str:
    found = [_of_kind(costs, kind) for kind in KINDS if kind.folded == folded]
    return " / ".join(f"{_of(row, 'bytes') / 1e6:.1f}" if row else "none" for row in found) if costs else ""


def _messages(costs: list[Row]) -> str:
    first, last = (_of_kind(costs, kind) for kind in (KINDS[0], KINDS[-2]))
    return f"{first['messages']:,} to {last['messages']:,}" if first and last else ""


def _of_kind(costs: list[Row], kind: Kind) -> Row:
    """Return the first row of a kind that has bytes, or an empty one."""
    return next((row for row in costs if (row["softmax"], row["folded"]) == (kind.softmax, kind.folded) and "bytes" in row), {})


def _error(costs: list[Row]) -> str:
    found = [_errors(costs, finer=finer) for finer in (False, True)]
    return ", ".join(f"{max(errors):.1e}" for errors in found if errors)


def _errors(costs: list[Row], *, finer: bool) -> list[float]:
    return [_of(row, "logit_error") for row in costs if "logit_error" in row and (row["softmax"] == FINER) == finer]


def _words(rows: list[Row]) -> str:
    training = [row for row in rows if row["part"] == "training"]
    seeds = sorted({int(_of(row, "seed")) for row in training})
    sources = sorted({str(row["source"]) for row in rows if row["part"] == "cost" and "bytes" in row})
    return (
        f"Mean of seeds {', '.join(map(str, seeds))}, in brackets the smallest and the largest; "
        f"{_of(training[0], 'characters_per_token'):.2f} characters a token. Quarters are of the largest entropy of causal heads. "
        f"Megabytes and messages are those one party sends for one context with its logits, by {' and '.join(sources)}: with "
        f"{', '.join(kind.softmax for kind in KINDS if kind.folded)} (10 squarings in place of 8); messages of the first kind as trained "
        "and of the third folded. Logits are off by the largest difference between private and plain ones, the finer exponential last."
    )


def _overload(rows: list[Row]) -> tuple[bool, str]:
    """Every norm-free model without temperature, penalty or conditioning against the baseline: share of heads in the top quarter."""
    free = ("SM+G", "SM+R", "SM", "SM, weight norm", "SM, spectral norm", "SM+ScFFN", UNGUIDED)
    shares = {name: _mean([_list(row["bands"])[3] for row in _training(rows, name)]) for name in (BASELINE, *free)}
    listed = ", ".join(f"{name} {shares[name]:.0%}" for name in free)
    met = all(shares[name] > shares[BASELINE] for name in free)
    return met, f"norm-free models have more heads in the top quarter of entropy than {BASELINE} ({shares[BASELINE]:.0%}): {listed}."


def _uniform(rows: list[Row]) -> tuple[bool, str]:
    shares = [_of(row, "near_uniform") for name in (GUIDED, TUNED_GUIDED) for row in _training(rows, name)]
    listed = ", ".join(f"{share:.0%}" for share in shares)
    return max(shares) <= _MOST_UNIFORM, f"with the penalty at most {_MOST_UNIFORM:.0%} of heads are near uniform: {listed} by run."


def _gain(rows: list[Row], plain: str, guided: str, how: str) -> tuple[bool, str]:
    gains = _relative(rows, guided, plain, sign=-1)
    words = f"temperature and penalty lower the perplexity of {UNGUIDED} by at least {_FEWEST_GAIN:.0%}, mean of 3 or more equal seeds"
    return len(gains) >= 3 and _mean(gains) >= _FEWEST_GAIN, f"{words}, {how}: {_listed(gains)}."


def _gap(rows: list[Row], guided: str, how: str) -> tuple[bool, str]:
    gaps = _relative(rows, guided, BASELINE, sign=1)
    words = f"the guided model's perplexity is at most {_LARGEST_GAP:.0%} above that of {BASELINE}"
    return _mean(gaps) <= _LARGEST_GAP, f"{words}, {how}: {_listed(gaps)}."


def _relative(rows: list[Row], name: str, to: str, *, sign: int) -> list[float]:
    """Return by how much the first's perplexity is above (1) or below (-1) the second's, for each seed that both have."""
    first, second = _perplexities(rows, name), _perplexities(rows, to)
    return [sign * (first[seed] / second[seed] - 1) for seed in sorted(first.keys() & second.keys())]


def _listed(shares: list[float]) -> str:
    return f"{_mean(shares):.1%} ({', '.join(f'{share:.1%}' for share in shares)})"


def _logits(rows: list[Row]) -> tuple[bool, str]:
    """With the engine's own exponential and with the finer one; the point is met if the finer one meets it for every model."""
    own, finer = _errors(rows, finer=False), _errors(rows, finer=True)
    if not own or not finer:
        return False, "private logits were not computed: no engine was there."
    far = {str(row["case"]) for row in rows if row.get("softmax") == FINER and _of(row, "logit_error") >= _LARGEST_ERROR}
    n_below, moved = sum(error < _LARGEST_ERROR for error in own), max(_of(row, "fold_error") for row in rows if "fold_error" in row)
    words = (
        f"private logits are off by less than {_LARGEST_ERROR:g}: with 10 squarings in the exponential at most {max(finer):.1e}"
        f"{', too far for ' + ', '.join(sorted(far)) if far else ''}; with the engine's own 8 at most {max(own):.1e}, {n_below} of "
        f"{len(own)} runs below. Folding moves plain logits by at most {moved:.1e}."
    )
    return not far, words


def _perplexities(rows: list[Row], name: str) -> dict[int, float]:
    return {int(_of(row, "seed")): _of(row, "perplexity") for row in _training(rows, name) if row["status"] == "finished"}


def _training(rows: list[Row], name: str) -> list[Row]:
    return [row for row in rows if row["part"] == "training" and row["case"] == name]


def _costs(rows: list[Row], name: str) -> list[Row]:
    return [row for row in rows if row["part"] == "cost" and row["case"] == name]


def _of(row: Row, name: str) -> float:
    return number_from_json(row[name])


def _list(value: object) -> list[float]:
    if not isinstance(value, list):
        raise TypeError(f"a list was expected, got {type(value).__name__}")
    return [number_from_json(item) for item in value]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _range(values: list[float]) -> str:
    return f"{_mean(values):.1f} ({min(values):.1f} to {max(values):.1f})" if values else ""


TABLES: dict[str, Callable[[list[Row]], str]] = {"e_pi_variants": variants}
