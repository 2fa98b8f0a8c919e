"""README tables of private-inference cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from experiments.markdown import table
from mechanisms.json_ready import number_from_json

Row = Mapping[str, object]


def ladder(rows: list[Row]) -> str:
    """GPT-2 small, step by step: gigabytes, messages, ratios and time on two links without compute."""
    cells = []
    for row in rows:
        if row["part"] != "ladder":
            continue
        ratios = f"{_number(row, 'fewer_bytes_than_stock'):.2f} x", f"{_number(row, 'fewer_bytes_equal_score'):.2f} x"
        times = f"{_number(row, 'lan_seconds'):.1f} s", f"{_number(row, 'wan_seconds'):.0f} s"
        cells.append([row["name"], row["score"], f"{_number(row, 'gb_both'):.2f}", f"{_number(row, 'messages'):,.0f}", *ratios, *times])
    header = [
        "model",
        "softmax",
        "GB",
        "messages",
        "less than SM+LN+G",
        "with equal softmax",
        "LAN, without compute",
        "WAN, without compute",
    ]
    return table(header, cells)


def published(rows: list[Row]) -> str:
    """Printed and computed gigabytes and minutes of each setting."""
    cells = []
    for row in rows:
        if row["part"] != "published":
            continue
        gigabytes = f"{_number(row, 'printed_gb'):.2f}", f"{_number(row, 'gb'):.2f}"
        minutes = f"{_number(row, 'printed_minutes'):.2f}", f"{_number(row, 'minutes'):.2f}"
        cells.append([row["variant"], f"{row['layers']}, {row['T']}", *gigabytes, *minutes])
    return table(["variant", "L, T", "GB printed", "GB", "minutes printed", "minutes"], cells)


def both(rows: list[Row]) -> str:
    """The ladder, then the published figures."""
    return f"{ladder(rows)}\n\n{published(rows)}"


def engine(rows: list[Row]) -> str:
    """Each block type at d = 128, then whole models, then other protocols, which have no estimate: measured, estimated, off by."""
    blocks = [row for row in rows if row["protocol"] == "SEMI2K" and not row["output"] and row["n_embd"] == 128]
    whole = [row for row in rows if row["output"]]
    others = [row for row in rows if row["protocol"] != "SEMI2K"]
    cells = [[row["name"], *_measured(row)] for row in blocks]
    cells += [[f"{row['name']}, {row['n_layer']} layers with logits, d = {row['n_embd']}", *_measured(row)] for row in whole]
    cells += [[f"{row['name']}, {row['protocol']}, d = {row['n_embd']}", *_measured(row)] for row in others]
    return table(["block", "MB sent by one party", "messages", "estimate / measured, bytes and messages", "output off by"], cells)


def _measured(row: Row) -> list[str]:
    ratios = "no estimate"
    if "estimated_bytes_sent" in row:
        ratios = " and ".join(f"{_number(row, f'estimated_over_measured_{what}'):.4f}" for what in ("bytes", "messages"))
    megabytes, messages = f"{_number(row, 'bytes_sent') / 1e6:.3f}", f"{_number(row, 'messages'):,.0f}"
    return [megabytes, messages, ratios, f"{_number(row, 'largest_difference'):.1e}"]


def _number(row: Row, name: str) -> float:
    return number_from_json(row[name])


def guided(rows: list[Row]) -> str:
    """Perplexity and near-uniform heads by recipe and model: mean over seeds, then least and largest."""
    cells = []
    for recipe, model in dict.fromkeys((str(row["table"]), str(row["model"])) for row in rows):
        runs = [row for row in rows if (row["table"], row["model"]) == (recipe, model) and row["status"] == "finished"]
        perplexities = [_number(row, "perplexity") for row in runs]
        uniform = sum(_number(row, "near_uniform") for row in runs) / len(runs)
        mean = sum(perplexities) / len(perplexities)
        shown = f"{mean:.2f} ({min(perplexities):.2f} to {max(perplexities):.2f})"
        cells.append([recipe, model, str(len(runs)), shown, f"{uniform:.0%}"])
    return table(["recipe", "model", "seeds", "perplexity", "near-uniform heads"], cells)


TABLES: dict[str, Callable[[list[Row]], str]] = {"e_guided_training": guided, "e_pi_published": both, "e_pi_engine": engine}
