"""What `polyhead compare` is asked to do; each field is an option, the docstring the help."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from polyhead.cli.options import JsonOption, NormaliseOption, SeedOption


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
    seed: SeedOption = 42
    json: JsonOption = False
