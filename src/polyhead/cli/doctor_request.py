"""What `polyhead doctor` is asked to do; each field is an option, the docstring the help."""

from dataclasses import dataclass
from typing import Annotated

import typer

from polyhead.cli.options import (
    CorpusOption,
    Files,
    JsonOption,
    LanguageOption,
    LowestOption,
    Machine,
    MaxPassesOption,
    ModelArgument,
    OneDataOption,
    Reading,
    RevisionOption,
    SeedOption,
    SplitOption,
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
    data: OneDataOption = None
    corpus: CorpusOption = None
    split: SplitOption = "dev"
    language: LanguageOption = "und"
    method: Annotated[str, typer.Option("--method", metavar="NAME", help="The scores to check; see polyhead methods.")] = (
        "gradient"
    )
    n_lowest: LowestOption = 12
    max_passes: MaxPassesOption = None
    limit: Annotated[
        int, typer.Option("--limit", min=1, metavar="N", help="Sentences in the seeded sample that is checked on.")
    ] = 16
    reading: Reading
    seed: SeedOption = 42
    files: Files
    revision: RevisionOption = None
    machine: Machine
    json: JsonOption = False
