"""`polyhead compare`: how far saved scores agree over methods, languages and seeds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from polyhead.cli.console import Console, wrapped
from polyhead.cli.result_requests import CompareRequest
from polyhead.cli.score_output import check_score_file
from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores, Normalisation, normalise
from polyhead.core.plain_values import jsonable
from polyhead.core.store import write_json_atomic, write_text_atomic
from polyhead.report.comparison_text import comparison_text
from polyhead.report.heat_maps import correlation_map, head_maps
from polyhead.selection.agreement import DRAWS, LEVEL, Agreement, Measure, agreement_table
from polyhead.selection.combining import Combination, combine, leave_one_out, ranks
from polyhead.selection.comparison import Run, doubts, grouped, read_runs
from polyhead.selection.head_files import write_scores
from polyhead.selection.sharing import EndSharing, head_sharing


def compare(request: CompareRequest, console: Console) -> int:
    """Read, group, compare; write what is asked for; print the tables."""
    _check(request)
    runs = read_runs(request.files)
    present = ~np.isnan([run.scores.values for run in runs]).any(axis=0)
    k = max(1, int(present.sum()) // 4) if request.k is None else request.k
    if k > present.sum():
        raise SettingError(f"k = {k}: these files have {present.sum()} heads in common; --k may be at most that")
    groups = grouped(runs, request.by)
    if request.by is None and (silent := [run for run in runs if run.method is None or run.language is None]):
        console.note(
            f"note: {len(silent)} of {len(runs)} files do not say their method or language, so each of these is a group by "
            "itself; --by groups files by one of the two"
        )
    if request.by is None:
        for doubt in doubts(groups):
            console.note(doubt)
    document = _document(request, groups, k)
    document["n_heads"] = int(present.sum())
    if request.combine is not None and request.out_scores is not None:
        combined = _combined(runs, request.combine, request.normalise, console)
        write_scores(request.out_scores, combined)
        document["combined"] = {"how": request.combine, "file": str(request.out_scores)}
    if request.out is not None:
        _leave(request.out, document, groups, request.normalise)
    console.result(document, wrapped(comparison_text(document)))
    return 0


def _check(request: CompareRequest) -> None:
    if len(request.files) < 2:
        raise SettingError(f"{request.files[0]}: one file alone; name two or more to compare")
    if (request.combine is None) != (request.out_scores is None):
        raise SettingError("--combine and --out-scores go together: one says how, the other where the combined scores go")
    if request.out_scores is not None:
        check_score_file("--out-scores", request.out_scores, inputs=request.files)
    if request.out is not None and request.out.exists() and not request.out.is_dir():
        raise SettingError(f"--out {request.out}: is a file; name a folder")


def _document(request: CompareRequest, groups: Mapping[str, Sequence[Run]], k: int) -> dict[str, Any]:
    """Everything that was found, as the JSON document."""
    values = {name: [normalise(run.scores.values, request.normalise) for run in members] for name, members in groups.items()}
    table = agreement_table(values, k=k, seed=request.seed)
    foretold: list[dict[str, Any]] = []
    sharing: list[dict[str, Any]] = []
    for method, by_language in _languages(groups).items():
        if len(by_language) > 2:
            foretold += _foretold(method, by_language, request, k)
        if len(by_language) > 1:
            sharing.append(_shared(method, by_language, request.normalise, k))
    document: dict[str, Any] = jsonable(
        {
            "schema": 1,
            "k": k,
            "seed": request.seed,
            "draws": DRAWS,
            "level": LEVEL,
            "normalisation": request.normalise,
            "groups": [_group_facts(name, members) for name, members in groups.items()],
            "pairs": [{"one": one, "other": other} | _figures(found) for (one, other), found in table.between.items()],
            "stability": [{"group": name} | _figures(found) for name, found in table.within.items()],
            "leave_one_out": foretold,
            "sharing": sharing,
        }
    )
    return document


def _languages(groups: Mapping[str, Sequence[Run]]) -> dict[str, dict[str, list[HeadScores]]]:
    """The scores of each method by language, of the files that are of one language."""
    found: dict[str, dict[str, list[HeadScores]]] = {}
    for run in (run for members in groups.values() for run in members):
        if run.language is not None and len(run.scores.languages) == 1:
            found.setdefault(run.scores.title, {}).setdefault(run.language, []).append(run.scores)
    return found


def _group_facts(name: str, members: Sequence[Run]) -> dict[str, Any]:
    return {
        "name": name,
        "methods": list(dict.fromkeys(run.scores.title for run in members)),
        "languages": list(dict.fromkeys(language for run in members for language in run.scores.languages)),
        "files": [str(run.path) for run in members],
    }


def _figures(found: Agreement) -> dict[str, Any]:
    names = ("spearman", "kendall", "weighted_tau", "lowest", "highest")
    measures: dict[str, Measure] = {name: getattr(found, name) for name in names}
    return {
        name: {"value": m.value, "interval": [m.interval.low, m.interval.high], "min": m.least, "max": m.most}
        for name, m in measures.items()
    } | {"n_heads": found.n_heads, "n_pairs": found.n_pairs}


def _foretold(
    method: str, by_language: Mapping[str, Sequence[HeadScores]], request: CompareRequest, k: int
) -> list[dict[str, Any]]:
    how: Combination = request.combine or "mean-rank"
    one_each = {language: _over_seeds(scores) for language, scores in by_language.items()}
    predictions = leave_one_out(one_each, how, k=k, normalisation=request.normalise)
    return [
        {"method": method, "language": language, "how": how}
        | {"spearman": found.spearman, "lowest": found.lowest, "highest": found.highest, "k": found.k}
        for language, found in predictions.items()
    ]


def _over_seeds(scores: Sequence[HeadScores]) -> HeadScores:
    """A language's runs as one: merged where the method keeps totals, else their mean."""
    if len(scores) == 1:
        return scores[0]
    if all(item.total is not None and item.n for item in scores):
        return combine(scores, "merged")[0]
    summed = combine(scores, "summed")[0]
    return replace(summed, values=summed.values / len(scores))


def _shared(method: str, by_language: Mapping[str, Sequence[HeadScores]], normalisation: Normalisation, k: int) -> dict[str, Any]:
    replicates = {
        language: np.stack([normalise(item.values, normalisation) for item in scores]) for language, scores in by_language.items()
    }
    found = head_sharing(replicates, k=k)
    runs = {language: len(scores) for language, scores in by_language.items()}
    return {"method": method, "k": k, "share": found.share, "runs": runs} | {
        end.end: _end_facts(end) for end in (found.lowest, found.highest)
    }


def _end_facts(end: EndSharing) -> dict[str, Any]:
    return {
        "shared": [str(head) for head in end.shared],
        "specific": {language: [str(head) for head in heads] for language, heads in end.specific.items()},
        "nowhere": [str(head) for head in end.nowhere],
        "unsettled": [str(head) for head in end.unsettled],
        "within": dict(end.within),
        "between": [{"one": one, "other": other, "overlap": overlap} for (one, other), overlap in end.between.items()],
        "frequency": {language: matrix.tolist() for language, matrix in end.frequency.items()},
    }


def _combined(runs: Sequence[Run], how: Combination, normalisation: Normalisation, console: Console) -> HeadScores:
    counts = Counter(run.language or run.path.stem for run in runs)
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{language} {count}" for language, count in counts.items())
        console.note(f"note: every file counts once in the combined scores, and languages have unequally many: {said}")
    return combine([run.scores for run in runs], how, normalisation=normalisation)[0]


def _leave(folder: Path, document: dict[str, Any], groups: Mapping[str, Sequence[Run]], normalisation: Normalisation) -> None:
    """Write the folder; `document` gains the names of the pictures that were drawn."""
    names = list(groups)
    rho: dict[tuple[str, str], float | None] = {}
    for row in document["pairs"]:
        rho[row["one"], row["other"]] = rho[row["other"], row["one"]] = row["spearman"]["value"]
    rho |= {(row["group"], row["group"]): row["spearman"]["value"] for row in document["stability"]}
    matrix = [[rho.get((one, other)) for other in names] for one in names]
    folder.mkdir(parents=True, exist_ok=True)
    by_group = {name: _ranks(members, normalisation) for name, members in groups.items()}
    drawn = [
        correlation_map(names, matrix, folder / "correlations.svg", title="agreement of head rankings"),
        head_maps(by_group, folder / "heads.svg", title="rank of every head"),
    ]
    document["pictures"] = [path.name for path in drawn if path is not None]
    write_json_atomic(folder / "compare.json", document)
    links = [f"![{name.removesuffix('.svg')}]({name})" for name in document["pictures"]]
    write_text_atomic(
        folder / "compare.md", "\n\n".join(["# Agreement of head scores", comparison_text(document), *links]) + "\n"
    )


def _ranks(members: Sequence[Run], normalisation: Normalisation) -> list[list[float]]:
    """Mean over runs of a head's rank, from 0 to 1."""
    by_run = [ranks(normalise(run.scores.values, normalisation)) for run in members]
    found: list[list[float]] = np.mean([(ranked - 1) / max(np.nanmax(ranked) - 1, 1) for ranked in by_run], axis=0).tolist()
    return found
