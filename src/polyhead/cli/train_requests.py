"""What the commands that fine-tune are asked to do; an option left out takes the protocol's or the table's default."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from polyhead.cli.options import (
    DataOption,
    Files,
    JsonOption,
    Machine,
    RevisionOption,
    SourceOption,
    TargetOption,
    TaskOption,
)
from polyhead.cli.train_options import SearchOptions, TrainOptions
from polyhead.core.errors import SettingError

ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="Folder or hub id of the pre-trained encoder; polyhead/tiny comes with the package.",
        show_default=False,
    ),
]
OutOption = Annotated[
    Path, typer.Option("--out", metavar="FOLDER", help="Where results go; run again to continue.", show_default=False)
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE.toml", help="Options from a file: the same names, or tables train and search."),
]
TrainLimitOption = Annotated[
    int | None,
    typer.Option(
        "--train-limit",
        min=1,
        metavar="N",
        help="Train on N sentences of each source: the same sample (seed 42) whatever --seed says.",
    ),
]
OneSeedOption = Annotated[
    int | None, typer.Option("--seed", min=0, metavar="N", help="Of a new classifier, data order and dropout; 42 unless given.")
]
_NONE: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """Do the main job: fine-tune on the source, rank heads, find how many to prune, prune, and test in every target language.

    Leaves result.json, scores.tsv, heads.json, the pruned model in model/, and report.html and report.md in the --out folder.
    """

    model: ModelOption
    task: TaskOption
    source: SourceOption
    target: TargetOption
    out: OutOption
    data: DataOption = None
    config: ConfigOption = None
    search: SearchOptions
    select_on: Annotated[
        Literal["source-dev", "target-dev", "pooled"],
        typer.Option(
            "--select-on",
            metavar="SETS",
            help="Dev sets that choose k: source-dev, pooled, or target-dev (an oracle).",
            rich_help_panel="Search for the number of heads",
        ),
    ] = "source-dev"
    method: Annotated[
        str | None,
        typer.Option(
            "--method", metavar="NAME", help="How heads are scored (see polyhead methods); the protocol's unless given."
        ),
    ] = None
    normalise: Annotated[
        Literal["none", "paper"] | None,
        typer.Option(
            "--normalise", metavar="HOW", help="Scaling of the scores before ranking: none or paper; the protocol's unless given."
        ),
    ] = None
    protocol: Annotated[
        Literal["sound", "paper", "paper-released"],
        typer.Option("--protocol", metavar="NAME", help="sound; paper and paper-released are for comparison only."),
    ] = "sound"
    seed: OneSeedOption = None
    seeds: Annotated[
        list[int], typer.Option("--seeds", metavar="N...", help="Several seeds, for example 42 43 44, instead of --seed.")
    ] = _NONE  # type: ignore[assignment]
    controls: Annotated[list[str], typer.Option("--controls", metavar="NAME...", help="Some of random, highest and noise.")] = (
        _NONE  # type: ignore[assignment]
    )
    head_analysis: Annotated[
        int,
        typer.Option("--head-analysis", min=0, metavar="N", help="Dev sentences per language for heads.json; 0 disables."),
    ] = 50
    no_text: Annotated[
        bool,
        typer.Option("--no-text", help="Leave example sentences out of heads.json, for text that may not be shared."),
    ] = False
    train_limit: TrainLimitOption = None
    train: TrainOptions
    files: Files
    revision: RevisionOption = None
    machine: Machine
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class FitRequest:
    """Fine-tune a tagger on the source and save it; run the same command again to continue after a stop."""

    model: ModelOption
    task: TaskOption
    source: SourceOption
    out: OutOption
    data: DataOption = None
    config: ConfigOption = None
    seed: OneSeedOption = None
    train_limit: TrainLimitOption = None
    train: TrainOptions
    files: Files
    revision: RevisionOption = None
    machine: Machine
    json: JsonOption = False


def chosen_seeds(request: RunRequest) -> list[int]:
    """The seeds of the run.

    Raises:
        SettingError: `--seed` and `--seeds` are both given.
    """
    if request.seed is not None and request.seeds:
        raise SettingError(f"--seed {request.seed} and --seeds {' '.join(map(str, request.seeds))}: give one of the two")
    return list(request.seeds) or [42 if request.seed is None else request.seed]
