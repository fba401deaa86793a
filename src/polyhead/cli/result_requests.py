"""What `polyhead compare` is asked to do; each field is an option, the docstring the help."""

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


@dataclass(frozen=True, kw_only=True)
class CompareRequest:
    """Say how far saved scores agree: over ways of scoring, languages and seeds, at both ends of the ranking.

    Files of one way of scoring and the same languages are replicate runs (seeds) of one group. A file that does not say these,
    such as another tool's, is a group by itself.
    """

    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILES...", help="Two or more files of scores, .tsv or .json, of one shape.", show_default=False),
    ]
    by: Annotated[
        Literal["method", "language", "file"] | None,
        typer.Option(
            "--by",
            metavar="WHAT",
            help="What files must share to be runs of one group: method, language or file; method and language unless given.",
        ),
    ] = None
    k: Annotated[
        int | None, typer.Option("--k", min=1, metavar="K", help="Heads at either end; a quarter of all unless given.")
    ] = None
    combine: Annotated[
        Literal["merged", "summed", "mean-rank", "worst-case", "regret"] | None,
        typer.Option(
            "--combine",
            metavar="HOW",
            help="Make one matrix of all files (with --out-scores): merged, summed, mean-rank, worst-case or regret; languages "
            "are foretold from each other in the same way.",
        ),
    ] = None
    out_scores: Annotated[
        Path | None, typer.Option("--out-scores", metavar="FILE", help="Where the combined scores go: .tsv or .json.")
    ] = None
    normalise: NormaliseOption = "none"
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Also leave compare.json, compare.md and heat maps (SVG) there."),
    ] = None
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class CurveRequest:
    """Judge orders of heads: score against heads ablated, nothing retrained, lowest first, highest first and at random.

    An order is good if its lowest heads are not missed: its area is near 1, above that of random orders, and far above that of
    its own heads taken from the other end. --oracle tells how much better an order could be on these sentences.
    """

    model: ModelArgument
    task: TaskOption
    data: OneDataOption = None
    scores: Annotated[
        list[Path],
        typer.Option(
            "--scores", metavar="FILE...", help="One or more files of scores, .tsv or .json; each an order.", show_default=False
        ),
    ]
    corpus: CorpusOption = None
    split: Annotated[
        Literal["train", "dev", "test"],
        typer.Option("--split", metavar="NAME", help="Of the corpus: train, dev or test. Choose between orders on dev."),
    ] = "dev"
    language: LanguageOption = "und"
    max_pruned: Annotated[
        int | None, typer.Option("--max-pruned", min=1, metavar="K", help="Largest k; half of the model's heads unless given.")
    ] = None
    random_seeds: Annotated[
        int, typer.Option("--random-seeds", min=0, metavar="N", help="Random orders, seeded from --seed on.")
    ] = 5
    oracle: Annotated[
        bool,
        typer.Option(
            "--oracle", metavar="", help="Also the greedy oracle and every order's regret; thousands of passes: use --limit."
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
            help="Also leave curve.json, curve.md and curve.svg there; an oracle that was stopped goes on from there.",
        ),
    ] = None
    json: JsonOption = False


_NONE: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReportRequest:
    """Write one page about a finished run, or about several side by side, that opens from disk and needs no network.

    It shows what pruning did and how sure that is, a map of the heads with all that is known of each one, how far rankings
    agree, trials, curves, cost and provenance.
    """

    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="One or more folders that polyhead run wrote.", show_default=False),
    ]
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="PAGE.html", help="Where the page goes; RUN/report.html, of several runs report.html."),
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
        bool, typer.Option("--no-text", help="Leave example sentences out, for corpora whose text may not be shared.")
    ] = False
    json: JsonOption = False
