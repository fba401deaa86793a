"""Renews the published figures in `docs/reproduce.md` from tables of every cell.

    python scripts/paper_tables.py [FOLDER]   # default: ../shared/paper

FOLDER holds `scores.tsv`, `controls.tsv`, `multi_source.tsv` and `rank_correlation.tsv`, typed from Ma et al. 2021.
"""

import csv
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from polyhead.report.tables import markdown

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reproduce.md"
FIGURES = ROOT.parent / "shared" / "paper"
_BLOCK = re.compile(r"<!-- paper: (?P<name>[a-z ]+) -->\n.*?<!-- end of paper -->", re.DOTALL)
_MODELS = {"mbert": "mBERT", "xlmr": "XLM-R"}
_SETTINGS = ("cross-lingual", "multi-lingual")

Row = dict[str, str]


def rows_of(folder: Path, name: str) -> list[Row]:
    """The rows of one file, in file order."""
    with (folder / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def scores(rows: Sequence[Row], task: str) -> str:
    """F1 unpruned → pruned for every source and target, and the mean gain of each column."""
    columns = [(model, setting) for model in _MODELS for setting in _SETTINGS]
    own = {(r["source"], r["target"], r["model"], r["setting"]): r for r in rows if r["task"] == task}
    body = [
        [source, target, *(_change(own[source, target, *column]) for column in columns)]
        for source, target in dict.fromkeys((source, target) for source, target, *_ in own)
    ]
    gains = [fmean(_gain(row) for key, row in own.items() if key[2:] == column) for column in columns]
    body.append(["mean gain", "", *(f"{gain:+.2f}" for gain in gains)])
    return markdown(["source", "target", *(f"{_MODELS[model]}, {setting}" for model, setting in columns)], body)


def _change(row: Row) -> str:
    return f"{float(row['f1_unpruned']):.2f} → {float(row['f1_pruned']):.2f}"


def _gain(row: Row) -> float:
    return float(row["f1_pruned"]) - float(row["f1_unpruned"])


def controls(rows: Sequence[Row]) -> str:
    """Change of F1 after pruning the highest-ranked or random heads, English as the source, mBERT."""
    columns = [(task, setting, kind) for task in ("pos", "ner") for setting in _SETTINGS for kind in ("highest-ranked", "random")]
    own = {(r["target"], r["task"], r["setting"], r["control"]): float(r["f1_change"]) for r in rows}
    targets = dict.fromkeys(target for target, *_ in own)
    body = [[target, *(f"{own[target, *column]:+.2f}" for column in columns)] for target in targets]
    body.append(["mean", *(f"{fmean(own[target, *column] for target in targets):+.2f}" for column in columns)])
    return markdown(["target", *(f"{task.upper()}, {setting}, {kind}" for task, setting, kind in columns)], body)


def several_sources(rows: Sequence[Row]) -> str:
    """F1 by heuristic, mBERT; the other four of en, de, ar, he, zh are the sources of each target."""
    heuristics = ("unpruned", "merged", "summed", "each")
    own = {(r["task"], r["target"], r["heuristic"]): float(r["f1"]) for r in rows}
    body = []
    for task in ("pos", "ner"):
        targets = dict.fromkeys(target for of, target, _ in own if of == task)
        found = [[task.upper(), target, *(own[task, target, how] for how in heuristics)] for target in targets]
        body += [[*row[:2], *(f"{value:.2f}" for value in row[2:])] for row in found]
    return markdown(["task", "target", *heuristics], body)


def rank_correlation(rows: Sequence[Row]) -> str:
    """Spearman's ρ between the head matrices of two languages: its mean and range over pairs, and the pairs at both ends."""
    body = []
    for task in ("pos", "ner", "slots"):
        for model, name in _MODELS.items():
            own = [(float(r["spearman_rho"]), f"{r['language_a']}-{r['language_b']}") for r in rows]
            own = [pair for pair, r in zip(own, rows, strict=True) if (r["task"], r["model"]) == (task, model)]
            (low, least), (high, most) = min(own), max(own)
            mean = fmean(rho for rho, _ in own)
            body.append([task, name, len(own), f"{mean:.2f}", f"{low:.2f} ({least})", f"{high:.2f} ({most})"])
    return markdown(["task", "model", "pairs", "mean ρ", "lowest", "highest"], body)


def tables(folder: Path) -> dict[str, str]:
    """Every table of the page, by the name between its markers."""
    cells = rows_of(folder, "scores")
    return {
        **{task: scores(cells, task) for task in ("pos", "ner", "slots")},
        "controls": controls(rows_of(folder, "controls")),
        "several sources": several_sources(rows_of(folder, "multi_source")),
        "rank correlation": rank_correlation(rows_of(folder, "rank_correlation")),
    }


def renewed(text: str, folder: Path) -> str:
    """The page with its tables renewed."""
    found = tables(folder)
    return _BLOCK.sub(lambda block: f"<!-- paper: {block['name']} -->\n{found[block['name']]}\n<!-- end of paper -->", text)


if __name__ == "__main__":
    figures = Path(sys.argv[1]) if len(sys.argv) > 1 else FIGURES
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), figures), encoding="utf-8")
