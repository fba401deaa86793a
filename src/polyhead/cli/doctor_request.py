"""What `polyhead doctor` is asked to do; each field is an option, the docstring the help."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from polyhead.cli.options import (
    Files,
    JsonOption,
    Machine,
    ModelArgument,
    Reading,
    RevisionOption,
    SeedOption,
    TaskOption,
)


@dataclass(frozen=True, kw_only=True)
class DoctorRequest:
    """Check on your own model and text that masks, cuts, checkpoints and scores are what they should be; exit 1 if not.

    Nothing is written but a pruned copy in the temporary folder, for as long as it takes to load it again. All is computed in
    float32, gradients in float64.
    """

    model: ModelArgument
    task: TaskOption
    data: Annotated[
        Path, typer.Option("--data", metavar="PATH", help="A labelled file; or, with --corpus, the folder where corpora lie.")
    ]
    corpus: Annotated[str | None, typer.Option("--corpus", metavar="NAME", help="A corpus such as ud/en_ewt.")] = None
    split: Annotated[
        Literal["train", "dev"],
        typer.Option("--split", metavar="NAME", help="Of the corpus: train or dev; scores never see a test split."),
    ] = "dev"
    language: Annotated[str, typer.Option("--language", metavar="CODE", help="BCP-47 code of the file's language.")] = "und"
    method: Annotated[str, typer.Option("--method", metavar="NAME", help="The scores to check; see polyhead methods.")] = (
        "gradient"
    )
    n_lowest: Annotated[
        int,
        typer.Option("--n-lowest", min=1, metavar="K", help="Heads you mean to prune: shapley settles these, l0 closes as many."),
    ] = 12
    max_passes: Annotated[
        float | None, typer.Option("--max-passes", min=1, metavar="N", help="Forward passes over the data that shapley may take.")
    ] = None
    limit: Annotated[
        int, typer.Option("--limit", min=1, metavar="N", help="Sentences in the seeded sample that is checked on.")
    ] = 16
    reading: Reading
    seed: SeedOption = 42
    files: Files
    revision: RevisionOption = None
    machine: Machine
    json: JsonOption = False
