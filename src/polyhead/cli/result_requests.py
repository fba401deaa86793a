"""Requests of the commands on results: each field is an option, the docstring is the help text."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from polyhead.cli.options import JsonOption, NormaliseOption, Shown
from polyhead.core.settings_file import Many
from polyhead.core.specs import Count


@dataclass(frozen=True, kw_only=True)
class CompareRequest:
    """Measure how far saved scores agree: across methods, languages and seeds, at both ends of the ranking.

    Files with the same method and languages form one group of runs (seeds). A file that does not record them, such as one from
    another tool, is a group of its own.
    """

    files: Annotated[Many[Path], Shown("Two or more score files, .tsv or .json, of one shape.", "FILES...", positional=True)]
    by: Annotated[
        Literal["method", "language", "file"] | None,
        Shown("How to group the files; by method and language unless given."),
    ] = None
    k: Annotated[Count | None, Shown("Heads compared at either end; a quarter of all unless given.", "K")] = None
    combine: Annotated[
        Literal["merged", "summed", "mean-rank", "worst-case", "regret"] | None,
        Shown(
            "Combine all files into one matrix (with --out-scores): merged, summed, mean-rank, worst-case or regret; also how "
            "languages are predicted from each other.",
            "HOW",
        ),
    ] = None
    out_scores: Annotated[Path | None, Shown("File for the combined scores: .tsv or .json.")] = None
    normalise: NormaliseOption = "none"
    out: Annotated[Path | None, Shown("Also write compare.json, compare.md and heat maps (SVG) there.", "FOLDER")] = None
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class ReportRequest:
    """Write one page about a finished run, or about several side by side, that opens from disk and needs no network.

    It shows what pruning did and how certain that is, a map of the heads with what is known about each, how far rankings agree,
    trials, curves, cost and provenance.
    """

    runs: Annotated[Many[Path], Shown("One or more folders that polyhead run wrote.", "RUN...", positional=True)]
    out: Annotated[
        Path | None, Shown("File for the page; default RUN/report.html, or report.html for several runs.", "PAGE.html")
    ] = None
    curve: Annotated[Many[Path], Shown("Pruning curves to show: curve.json files of polyhead curve.")] = ()
    markdown: Annotated[Path | None, Shown("Also write the tables as Markdown.", "FILE.md")] = None
    pictures: Annotated[Path | None, Shown("Also write every chart as SVG and PNG, for papers.", "FOLDER")] = None
    no_text: Annotated[bool, Shown("Leave out example sentences, for corpora whose text may not be shared.")] = False
    json: JsonOption = False
