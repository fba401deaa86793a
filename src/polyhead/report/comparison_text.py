"""The text of `polyhead compare`: Markdown tables of its JSON document, and how the figures were computed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polyhead.core.escaping import markdown_text
from polyhead.report.tables import markdown, paragraphs, section, shown_interval, shown_number

Document = Mapping[str, Any]
_MEASURES = ("spearman", "kendall", "weighted_tau", "lowest", "highest")
_ENDS = {"lowest": "least important", "highest": "most important"}


def comparison_text(document: Document) -> str:
    """The tables and notes of a comparison, as one Markdown text without a title."""
    n_files = sum(len(group["files"]) for group in document["groups"])
    note = _note(document) if document["pairs"] or document["stability"] else ""
    parts = [
        f"{n_files} files in {len(document['groups'])} groups, {document['n_heads']} heads in common; "
        f"k = {document['k']} heads at either end, normalisation {document['normalisation']}.",
        _groups(document),
        section("Between groups", _agreements(["one", "other"], document["pairs"], document["k"])),
        section("Within groups, between runs", _agreements(["group"], document["stability"], document["k"])),
        note,
        section("Each language predicted from the others", *_predicted(document)),
        *(section(f"Heads shared by languages, {markdown_text(row['method'])}", *_sharing(row)) for row in document["sharing"]),
    ]
    if "combined" in document:
        parts.append(f"Combined scores ({document['combined']['how']}): {markdown_text(document['combined']['file'])}")
    return paragraphs(*parts)


def _groups(document: Document) -> str:
    names = Counter(Path(file).name for group in document["groups"] for file in group["files"])
    rows = []
    for group in document["groups"]:
        files = [Path(file).name if names[Path(file).name] == 1 else file for file in group["files"]]
        rows.append([group["name"], " ".join(group["methods"]), " ".join(group["languages"]) or "–", ", ".join(files)])
    return markdown(["group", "method", "languages", "files"], rows)


def _agreements(keys: Sequence[str], rows: Sequence[Mapping[str, Any]], k: int) -> str:
    if not rows:
        return ""
    headers = ["Spearman's ρ", "Kendall's τ-b", "weighted τ", f"overlap of lowest {k}", f"overlap of highest {k}"]
    with_runs = any(row["n_pairs"] > 1 for row in rows)
    body = []
    for row in rows:
        figures = [shown_number(row[name]["value"]) for name in _MEASURES]
        if with_runs:
            span = (row["spearman"]["min"], row["spearman"]["max"]) if row["n_pairs"] > 1 else None
            figures += [shown_interval(span, ".2f"), str(row["n_pairs"])]
        body.append([*(row[key] for key in keys), *figures])
    extra = ["ρ over pairs of runs", "pairs"] if with_runs else []
    return markdown([*keys, *headers, *extra], body)


def _note(document: Document) -> str:
    k, n = document["k"], document["n_heads"]
    return (
        "Figures are means over pairs of runs, over the heads that all files of a row have. They have no interval, because heads "
        "are not a sample; for the variation over seeds see the smallest and largest value over pairs of runs. Weighted τ: "
        "Kendall's τ in which the most important heads weigh most (hyperbolic weights). Overlap of lowest (highest): share of "
        f"the {k} heads that both have in common there; two random orders share {k / n:.2f} on average. –: a constant matrix has "
        "no order."
    )


def _predicted(document: Document) -> tuple[str, str]:
    rows, k = document["leave_one_out"], document["k"]
    if not rows:
        return "", ""
    body = [
        [row["method"], row["language"], *(shown_number(row[name]) for name in ("spearman", "lowest", "highest"))] for row in rows
    ]
    headers = ["method", "language", "Spearman's ρ", f"overlap of lowest {k}", f"overlap of highest {k}"]
    note = (
        f"The other languages' scores, combined by {rows[0]['how']}, compared with the language's own. Several runs of a "
        "language count as one."
    )
    return markdown(headers, body), note


def _sharing(row: Mapping[str, Any]) -> list[str]:
    parts = []
    for end, words in _ENDS.items():
        found = row[end]
        body = [["all languages", *_counted(found["shared"])]]
        body += [[f"{language} only", *_counted(heads)] for language, heads in found["specific"].items()]
        body += [["unsettled", *_counted(found["unsettled"])], ["no language", str(len(found["nowhere"])), "the others"]]
        parts.append(markdown([f"among the {row['k']} {words} in", "heads", "layer.head"], body))
    overlaps = {end: {(pair["one"], pair["other"]): pair["overlap"] for pair in row[end]["between"]} for end in _ENDS}
    body = [
        [language, language, *(shown_number(row[end]["within"][language]) for end in _ENDS)]
        for language, count in row["runs"].items()
        if count > 1
    ]
    body += [[one, other, *(shown_number(overlaps[end][one, other]) for end in _ENDS)] for one, other in overlaps["lowest"]]
    parts.append(markdown(["one run of", "another of", *(f"overlap of {end} {row['k']}" for end in _ENDS)], body))
    low, high = round(100 * (1 - row["share"])), round(100 * row["share"])
    single = [language for language, count in row["runs"].items() if count == 1]
    chance = f" Only one run of {markdown_text(', '.join(single))}: heads specific to one language may be chance."
    parts.append(
        f"All languages: in at least {high} % of the runs of each. One language only: in at least {high} % of its runs, and in "
        f"at most {low} % of the runs of any other. No language: in at most {low} % of the runs of each. Unsettled: the rest."
        + chance
        * bool(single)
    )
    return parts


def _counted(heads: Sequence[str]) -> list[str]:
    return [str(len(heads)), " ".join(heads) or "–"]
