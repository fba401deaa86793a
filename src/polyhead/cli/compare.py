"""`polyhead compare`: how far saved scores agree over methods, languages and seeds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from polyhead.cli.console import Console, wrapped
from polyhead.cli.exit_codes import DONE
from polyhead.cli.outputs import SCORES, check_file, check_folder, check_replaced
from polyhead.cli.requests import CompareRequest
from polyhead.core.errors import SettingError
from polyhead.core.files import write_json_atomic, write_text_atomic
from polyhead.core.heads import HeadScores, Normalisation, normalise
from polyhead.core.store import writing
from polyhead.report.comparison_text import comparison_text
from polyhead.report.heat_maps import correlation_chart, head_maps_chart
from polyhead.report.pictures import write_picture
from polyhead.selection.combining import Combination, combine, ranks
from polyhead.selection.comparison import Run, comparison, doubts, grouped, read_runs
from polyhead.selection.score_files import write_scores


def compare(request: CompareRequest, console: Console) -> int:
    """Read, group, compare; write what is asked for; print the tables."""
    _check(request)
    runs = read_runs(request.files)
    present = ~np.isnan([run.scores.values for run in runs]).any(axis=0)
    k = max(1, int(present.sum()) // 4) if request.k is None else request.k
    if k > present.sum():
        raise SettingError(f"--k {k}: these files have {present.sum()} heads in common; give at most that")
    groups = grouped(runs, request.by)
    if request.by is None and (silent := [run for run in runs if run.method is None or run.language is None]):
        alone = "do not record their method or language, so each is a group of its own; see --by"
        console.note(f"note: {len(silent)} of {len(runs)} files {alone}")
    if request.by is None:
        for doubt in doubts(groups):
            console.note(doubt)
    how = request.combine or "mean-rank"
    document = comparison(groups, k=k, normalisation=request.normalise, combination=how, progress=console.progress)
    document["n_heads"] = int(present.sum())
    if request.combine is not None and request.out_scores is not None:
        combined = _combined(runs, request.combine, request.normalise, console)
        settings, facts = {"combined": request.combine}, {"title": combined.title, "languages": combined.languages}
        check_replaced("--out-scores", request.out_scores, settings=settings, facts=facts)
        write_scores(request.out_scores, combined)
        document["combined"] = {"how": request.combine, "file": str(request.out_scores)}
    if request.out is not None:
        with writing(request.out):
            _leave(request.out, document, groups, request.normalise)
    console.result(document, wrapped(comparison_text(document)))
    return DONE


def _check(request: CompareRequest) -> None:
    if len(request.files) < 2:
        raise SettingError(f"{request.files[0]}: only one file; name two or more to compare")
    if (request.combine is None) != (request.out_scores is None):
        raise SettingError("--combine and --out-scores go together: one says how, the other where the combined scores go")
    if request.out_scores is not None:
        check_file("--out-scores", request.out_scores, suffixes=SCORES, others=request.files)
    if request.out is not None:
        check_folder("--out", request.out)


def _combined(runs: Sequence[Run], how: Combination, normalisation: Normalisation, console: Console) -> HeadScores:
    counts = Counter(run.language or run.path.stem for run in runs)
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{language} {count}" for language, count in counts.items())
        console.note(f"note: every file counts once in the combined scores, but numbers of files differ by language: {said}")
    return combine([run.scores for run in runs], how, normalisation=normalisation)[0]


def _leave(folder: Path, document: dict[str, Any], groups: Mapping[str, Sequence[Run]], normalisation: Normalisation) -> None:
    """Write the folder; `document` gains the names of the pictures that were drawn."""
    names = list(groups)
    rho: dict[tuple[str, str], float | None] = {}
    for row in document["pairs"]:
        rho[row["one"], row["other"]] = rho[row["other"], row["one"]] = row["spearman"]["value"]
    rho |= {(row["group"], row["group"]): row["spearman"]["value"] for row in document["stability"]}
    matrix = [[rho.get((one, other)) for other in names] for one in names]
    by_group = {name: _ranks(members, normalisation) for name, members in groups.items()}
    drawn = [
        write_picture(folder / "correlations.svg", lambda altair: correlation_chart(altair, names, matrix)),
        write_picture(folder / "heads.svg", lambda altair: head_maps_chart(altair, by_group)),
    ]
    document["pictures"] = [path.name for path in drawn if path is not None]
    write_json_atomic(folder / "compare.json", document)
    links = [f"![{name.removesuffix('.svg')}]({name})" for name in document["pictures"]]
    parts = ["# Agreement of head scores", comparison_text(document), *links]
    write_text_atomic(folder / "compare.md", "\n\n".join(parts) + "\n")


def _ranks(members: Sequence[Run], normalisation: Normalisation) -> list[list[float]]:
    """Mean over runs of a head's rank, from 0 to 1."""
    by_run = [ranks(normalise(run.scores.values, normalisation)) for run in members]
    found: list[list[float]] = np.mean([(ranked - 1) / max(np.nanmax(ranked) - 1, 1) for ranked in by_run], axis=0).tolist()
    return found
