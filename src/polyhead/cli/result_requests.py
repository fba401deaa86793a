"""Requests of the commands on results: each field is an option, the docstring is the help text."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from polyhead.cli.options import (
    CorpusOption,
    Files,
    JsonOption,
    LanguageOption,
    LimitOption,
    Machine,
    ModelArgument,
    NormaliseOption,
    OneDataOption,
    Reading,
    RevisionOption,
    SeedOption,
    TaskOption,
)
from polyhead.core.specs import Count, Whole


@dataclass(frozen=True, kw_only=True)
class CompareRequest:
    """Measure how far saved scores agree: across methods, languages and seeds, at both ends of the ranking.

    Files with the same method and languages form one group of runs (seeds). A file that does not record them, such as one from
    another tool, is a group of its own.
    """

    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILES...", help="Two or more score files, .tsv or .json, of one shape.", show_default=False),
    ]
    by: Annotated[
        Literal["method", "language", "file"] | None,
        typer.Option(
            "--by",
            metavar="WHAT",
            help="Group files by method, language or file; by method and language unless given.",
        ),
    ] = None
    k: Annotated[
        Count | None, typer.Option("--k", metavar="K", help="Heads compared at either end; a quarter of all unless given.")
    ] = None
    combine: Annotated[
        Literal["merged", "summed", "mean-rank", "worst-case", "regret"] | None,
        typer.Option(
            "--combine",
            metavar="HOW",
            help="Combine all files into one matrix (with --out-scores): merged, summed, mean-rank, worst-case or regret; also "
            "how languages are predicted from each other.",
        ),
    ] = None
    out_scores: Annotated[
        Path | None, typer.Option("--out-scores", metavar="FILE", help="File for the combined scores: .tsv or .json.")
    ] = None
    normalise: NormaliseOption = "none"
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Also write compare.json, compare.md and heat maps (SVG) there."),
    ] = None
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class CurveRequest:
    """Judge orders of heads: the score as heads are ablated lowest first, highest first and at random, without retraining.

    An order is good if ablating its lowest heads costs little: its area is near 1, above random orders and far above the same
    order reversed. --oracle shows how much better an order could be on these sentences.
    """

    model: ModelArgument
    task: TaskOption
    data: OneDataOption = None
    scores: Annotated[
        list[Path],
        typer.Option(
            "--scores",
            metavar="FILE...",
            help="One or more score files, .tsv or .json; each gives one order.",
            show_default=False,
        ),
    ]
    corpus: CorpusOption = None
    split: Annotated[
        Literal["train", "dev", "test"],
        typer.Option("--split", metavar="NAME", help="Split of the corpus: train, dev or test. Choose between orders on dev."),
    ] = "dev"
    language: LanguageOption = "und"
    max_pruned: Annotated[
        Count | None,
        typer.Option("--max-pruned", metavar="K", help="Most heads to ablate; half of the model's heads unless given."),
    ] = None
    random_seeds: Annotated[
        Whole, typer.Option("--random-seeds", metavar="N", help="Number of random orders; their seeds start at --seed.")
    ] = 5
    oracle: Annotated[
        bool,
        typer.Option(
            "--oracle",
            metavar="",
            help="Add the greedy oracle and every order's regret; takes thousands of passes, so use --limit.",
        ),
    ] = False
    limit: LimitOption = None
    normalise: NormaliseOption = "none"
    reading: Reading
    seed: SeedOption = 42
    files: Files
    revision: RevisionOption = None
    machine: Machine
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="Also write curve.json, curve.md and curve.svg there; a stopped oracle continues from this folder.",
        ),
    ] = None
    json: JsonOption = False


_NONE: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReportRequest:
    """Write one page about a finished run, or about several side by side, that opens from disk and needs no network.

    It shows what pruning did and how certain that is, a map of the heads with what is known about each, how far rankings agree,
    trials, curves, cost and provenance.
    """

    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="One or more folders that polyhead run wrote.", show_default=False),
    ]
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="PAGE.html",
            help="File for the page; default RUN/report.html, or report.html for several runs.",
        ),
    ] = None
    curve: Annotated[
        list[Path], typer.Option("--curve", metavar="FILE...", help="Pruning curves to show: curve.json files of polyhead curve.")
    ] = _NONE  # type: ignore[assignment]
    markdown: Annotated[Path | None, typer.Option("--markdown", metavar="FILE.md", help="Also write the tables as Markdown.")] = (
        None
    )
    pictures: Annotated[
        Path | None, typer.Option("--pictures", metavar="FOLDER", help="Also write every chart as SVG and PNG, for papers.")
    ] = None
    no_text: Annotated[
        bool, typer.Option("--no-text", metavar="", help="Leave out example sentences, for corpora whose text may not be shared.")
    ] = False
    json: JsonOption = False
