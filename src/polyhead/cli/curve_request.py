"""What `polyhead curve` is asked to do; each field is an option, the docstring the help."""

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
