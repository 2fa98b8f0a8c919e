"""Writes the README's figures from the result files: each table stands between its markers and nowhere else.

Run: make figures
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.figures_adaptive import TABLES as ADAPTIVE_TABLES
from experiments.figures_attention import TABLES as ATTENTION_TABLES
from experiments.figures_continual import TABLES as CONTINUAL_TABLES
from experiments.figures_pi_membership import TABLES as PI_MEMBERSHIP_TABLES
from experiments.figures_pi_variants import TABLES as PI_VARIANTS_TABLES
from experiments.figures_synth import TABLES as SYNTH_TABLES
from experiments.markdown import table as markdown_table
from experiments.results_file import read_results

README = Path(__file__).parents[1] / "README.md"
Row = Mapping[str, object]


def conformance(rows: list[Row]) -> str:
    """Clean runs with their alarms, bugs with how often the right test found them."""
    table = []
    for row in rows:
        runs = row["runs"]
        found = row.get("found_by_the_right_test")
        table.append([row["case"], runs, f"{row['alarms']} false alarms" if found is None else f"found in {found} of {runs}"])
    return markdown_table(["case", "runs", "result"], table)


def posterior(rows: list[Row]) -> str:
    """Seconds of one 90 % interval, ours and the peer's, and their ratio; then our own tasks on many counts."""
    table = []
    for row in rows:
        ours = f"{_number(row['seconds']):.2g} s"
        if "task" in row:
            table.append([f"{row['n_counts']:,} counts, delta {row['delta']:g}: {row['task']}", ours, "", ""])
        elif row["peer_seconds"] is None:
            table.append([_counts(row), ours, str(row["peer"]).split(":")[0], ""])
        else:
            peer = _number(row["peer_seconds"])
            table.append([_counts(row), ours, f"{peer:.3g} s", f"{peer / _number(row['seconds']):,.0f} x"])
    return markdown_table(["fp / tn / fn / tp, delta", "privacy-audit", "privacy-estimates", "ratio"], table)


def _counts(row: Row) -> str:
    return " / ".join(f"{row[name]:,}" for name in ("fp", "tn", "fn", "tp")) + f", {row['delta']:g}"


def _number(value: object) -> float:
    return float(str(value))


def probe(rows: list[Row]) -> str:
    """Training time with the probe over training time without it."""
    table = [[r["width"], f"{r['ratio_to_same_batches']:.2f} x", f"{r['ratio_to_own_records']:.2f} x"] for r in rows]
    return markdown_table(["hidden width", "against the same batches", "against the user's records only"], table)


def membership(rows: list[Row]) -> str:
    """AUC and TPR of every attack, one column per table and number of references."""
    measured = [row for row in rows if "attack" in row]
    columns = list(dict.fromkeys((str(row["table"]), int(str(row["references"]))) for row in measured if row["references"]))
    cells = {(row["attack"], row["table"], row["references"]): f"{row['auc']:.3f}, {row['tpr_at_0.01']:.3f}" for row in measured}
    attacks = dict.fromkeys(str(row["attack"]) for row in measured if row["references"])
    body: list[list[object]] = [[attack, *(cells.get((attack, *column), "") for column in columns)] for attack in attacks]
    for name in ("quantile", "label_only", "gradient_norm"):
        body.append([f"{name} (no reference)", *(cells.get((name, table, 0), "") for table, _ in columns)])
    return markdown_table(["attack", *(f"{table}, {n}" for table, n in columns)], body)


def dp_audit(rows: list[Row]) -> str:
    """Bound and posterior per claimed epsilon and game; then the share of null audits with a positive bound."""
    table: list[list[object]] = []
    for row in rows:
        if row["part"] == "claimed epsilon" and "bound" in row:
            interval = f"{row['posterior_low']:.2f} to {row['posterior_high']:.2f}" if "posterior_low" in row else ""
            found = [f"{row['auc']:.3f}", f"{row['bound']:.2f}", interval, row["verdict"]]
            table.append([row["epsilon"], row["game"], row["models"], *found])
        elif row["part"] == "null audits":
            positive = f"{100 * _number(row['positive']):.1f} % positive bounds of {row['audits']:,}"
            table.append(["no leak", row["game"], "", "", positive, "", ""])
    return markdown_table(["claimed", "game", "models", "AUC", "bound", "posterior, 95 %", "verdict"], table)


def shadow(rows: list[Row]) -> str:
    """Milliseconds a model and step, and ratios to Opacus; then one whole ensemble."""
    table: list[list[object]] = []
    for row in rows:
        if "network" in row:
            ratios = [f"{row[f'ratio_to_{peer}']:.1f} x" for peer in ("bare", "engine")]
            table.append([row["network"], row["models"], f"{row['ms_ours']:.3g}", *ratios])
        else:
            whole = f"{row['models']} models, {row['steps']} steps each"
            table.append([whole, row["models"], f"{_number(row['cpu_seconds']):.3g} s in all", "", ""])
    return markdown_table(["network", "models at once", "ms a model and step", "Opacus, bare hooks mode", "Opacus, make_private"], table)


def distribution_training(rows: list[Row]) -> str:
    """Milliseconds a model and epoch, and ratios to the peers; then runs without a peer."""
    table: list[list[object]] = []
    for row in rows:
        compared = row["run"] == "compared"
        ratios = [f"{_number(row[f'ratio_to_{peer}']):.1f} x" for peer in ("sklearn", "torch")] if compared else ["", ""]
        name = "shuffled batches, Adam" if compared else str(row["run"])
        table.append([name, row["models"], f"{_number(row['ms_ours']):.3g}", *ratios])
    return markdown_table(
        ["run", "models at once", "ms a model (and epoch of training)", "scikit-learn MLPClassifier", "plain torch loop"], table
    )


def coverage(rows: list[Row]) -> str:
    """Coverage and mean of every method, one column per setting; bold where a bound's coverage falls short."""
    measured = [row for row in rows if "setting" in row]
    settings = list(dict.fromkeys(str(row["setting"]) for row in measured))
    methods = dict.fromkeys((str(row["source"]), str(row["method"]), str(row["kind"])) for row in measured)
    cells = {(row["source"], row["method"], row["setting"]): _coverage_cell(row) for row in measured}
    table = [[source, method, kind, *(cells.get((source, method, name), "") for name in settings)] for source, method, kind in methods]
    return markdown_table(["from", "method", "kind", *settings], [list(row) for row in table])


def _coverage_cell(row: Row) -> str:
    cell = f"{_number(row['coverage']):.2f}, {_number(row['mean']):.2f}"
    return f"**{cell}**" if row["falls_short"] else cell


def n_leaked(rows: list[Row]) -> str:
    """Both numbers of records per ratio; then how much each varies over the ratios."""
    table: list[list[object]] = []
    for row in rows:
        numbers = [_number(row[name]) for name in ("exact", "published")]
        if "ratio" in row:
            table.append([f"0.5 against {row['ratio']}", f"{_number(row['accuracy']):.3f}", f"{numbers[0]:.0f}", f"{numbers[1]:.2f}"])
        else:
            table.append(["coefficient of variation", "", *(f"{number:.2f}" for number in numbers)])
    return markdown_table(["ratios", "accuracy", "n_leaked, exact", "n_leaked, published"], table)


def distribution(rows: list[Row]) -> str:
    """Accuracy of every attack, one column per table and ratio; the selected one bold."""
    measured = [row for row in rows if "attack" in row]
    columns = list(dict.fromkeys((str(row["table"]), str(row["ratio"])) for row in measured))
    cells = {(row["attack"], row["table"], str(row["ratio"])): _distribution_cell(row) for row in measured}
    attacks = dict.fromkeys(str(row["attack"]) for row in measured)
    body = [[attack, *(cells.get((attack, *column), "") for column in columns)] for attack in attacks]
    return markdown_table(["attack", *(f"{table}, .5 or {ratio}" for table, ratio in columns)], [list(row) for row in body])


def _distribution_cell(row: Row) -> str:
    cell = f"{_number(row['accuracy']):.3f}"
    return f"**{cell}**" if row["selected"] else cell


def defenses(rows: list[Row]) -> str:
    """Accuracy of the selected attack against each defense, by an adversary who does not know of it and by one who does."""
    measured = [row for row in rows if "defense" in row]
    cells = {(row["defense"], row["adaptive"]): _interval_cell(row) for row in measured}
    names = dict.fromkeys(str(row["defense"]) for row in measured)
    return markdown_table(
        ["defense", "not adaptive", "adaptive"], [[name, cells.get((name, False), ""), cells.get((name, True), "")] for name in names]
    )


def _interval_cell(row: Row) -> str:
    return f"{_number(row['accuracy']):.3f} ({_number(row['low']):.3f} to {_number(row['high']):.3f})"


TABLES: dict[str, Callable[[list[Row]], str]] = {
    "bench_posterior": posterior,
    "e_conformance": conformance,
    "bench_probe": probe,
    "e_coverage": coverage,
    "e_membership_attacks": membership,
    "e_dp_audit": dp_audit,
    "bench_shadow": shadow,
    "bench_distribution_training": distribution_training,
    "e_n_leaked": n_leaked,
    "e_distribution_tabular": distribution,
    "e_defenses": defenses,
    **ADAPTIVE_TABLES,
    **ATTENTION_TABLES,
    **CONTINUAL_TABLES,
    **PI_MEMBERSHIP_TABLES,
    **PI_VARIANTS_TABLES,
    **SYNTH_TABLES,
}


def filled(text: str) -> str:
    """Return the README's text with every table made anew."""
    for name, make in TABLES.items():
        pattern = rf"(<!-- figures:{name} -->\n).*?(<!-- /figures -->)"
        table = make(list(read_results(name)))
        text, n = re.subn(pattern, lambda found, table=table: f"{found[1]}\n{table}\n\n{found[2]}", text, flags=re.DOTALL)
        if n != 1:
            raise ValueError(f"the README needs one pair of markers for {name}, found {n}")
    return text


def main() -> None:
    """Rewrite the README's tables."""
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
