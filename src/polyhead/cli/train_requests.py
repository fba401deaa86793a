"""What the commands that fine-tune are asked to do; an option left out takes the protocol's or the table's default."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from polyhead.cli.options import (
    ColumnsOption,
    DataOption,
    DeviceOption,
    JsonOption,
    RevisionOption,
    SchemeOption,
    SourceOption,
    StrictOption,
    TargetOption,
    TaskOption,
    ThreadsOption,
)
from polyhead.errors import SettingError

ModelOption = Annotated[
    str, typer.Option("--model", metavar="MODEL", help="Folder or hub id of the pre-trained encoder.", show_default=False)
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
PrecisionChoice = Annotated[
    Literal["auto", "bf16", "fp32"] | None, typer.Option("--precision", help="bf16 where the processor has units for it.")
]
AnchorChoice = Annotated[
    Literal["text", "first"] | None,
    typer.Option("--anchor", help="Where a word is labelled: its first piece with text of the word, or its first."),
]

_TRAIN = "Training"
EpochsOption = Annotated[
    int | None,
    typer.Option("--epochs", metavar="N", help="Passes over the training data; 3 unless given.", rich_help_panel=_TRAIN),
]
BatchSizeOption = Annotated[
    int | None, typer.Option("--batch-size", metavar="N", help="Sentences in a step; 16 unless given.", rich_help_panel=_TRAIN)
]
RateOption = Annotated[
    float | None,
    typer.Option(
        "--learning-rate",
        metavar="X",
        help="Peak rate; 5e-5 (3e-4 for encoders up to 384 wide) unless given.",
        rich_help_panel=_TRAIN,
    ),
]
DecayOption = Annotated[
    float | None,
    typer.Option("--weight-decay", metavar="X", help="AdamW's weight decay; 0.01 unless given.", rich_help_panel=_TRAIN),
]
WarmupOption = Annotated[
    float | None,
    typer.Option(
        "--warmup", metavar="X", help="Share of the steps in which the rate rises; 0.06 unless given.", rich_help_panel=_TRAIN
    ),
]
ClipOption = Annotated[
    float | None, typer.Option("--clip", metavar="X", help="Largest gradient norm; 1.0 unless given.", rich_help_panel=_TRAIN)
]
MaxLengthChoice = Annotated[
    int | None, typer.Option("--max-length", metavar="N", help="Pieces in a window; 256 unless given.", rich_help_panel=_TRAIN)
]
OrderOption = Annotated[
    Literal["buckets", "shuffled", "file"] | None,
    typer.Option("--order", help="Shuffled length buckets, shuffled sentences, or file order.", rich_help_panel=_TRAIN),
]
FreezeOption = Annotated[
    list[str], typer.Option("--freeze", metavar="embeddings", help="Parts that are not trained.", rich_help_panel=_TRAIN)
]

_SEARCH = "Search for the number of heads"
_NONE: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """Do the main job: fine-tune on the source, rank heads, find how many to prune, prune, and test in every target language.

    Leaves result.json, scores.tsv, the pruned model in model/ and report.md in the --out folder.
    """

    model: ModelOption
    task: TaskOption
    source: SourceOption
    target: TargetOption
    out: OutOption
    data: DataOption = None
    config: ConfigOption = None
    max_pruned: Annotated[
        int, typer.Option("--max-pruned", min=0, metavar="K", help="Most heads to prune.", rich_help_panel=_SEARCH)
    ] = 12
    search: Annotated[
        Literal["sequential", "sweep", "screened"] | None,
        typer.Option(
            "--search", help="screened (at most five fine-tunings) unless the protocol says sweep.", rich_help_panel=_SEARCH
        ),
    ] = None
    objective: Annotated[
        str, typer.Option("--objective", metavar="best|within:X", help="Best dev score, or most heads.", rich_help_panel=_SEARCH)
    ] = "best"
    delta: Annotated[
        float,
        typer.Option("--delta", min=0, metavar="X", help="Points below the best: sequential stops.", rich_help_panel=_SEARCH),
    ] = 0.0
    min_per_layer: Annotated[
        int, typer.Option("--min-per-layer", min=0, metavar="N", help="Heads that every layer keeps.", rich_help_panel=_SEARCH)
    ] = 0
    prune: Annotated[
        Literal["before", "after"], typer.Option("--prune", help="Before or after fine-tuning.", rich_help_panel=_SEARCH)
    ] = "before"
    select_on: Annotated[
        Literal["source-dev", "target-dev", "pooled"],
        typer.Option("--select-on", help="Dev sets that choose; target-dev is an oracle.", rich_help_panel=_SEARCH),
    ] = "source-dev"
    method: Annotated[
        str | None,
        typer.Option(
            "--method", metavar="NAME", help="How heads are scored (see polyhead methods); the protocol's unless given."
        ),
    ] = None
    normalise: Annotated[
        Literal["none", "paper"] | None,
        typer.Option("--normalise", help="Scaling of the scores before ranking; the protocol's unless given."),
    ] = None
    protocol: Annotated[
        Literal["sound", "paper", "paper-released"], typer.Option("--protocol", help="The paper's ways are for comparison only.")
    ] = "sound"
    seed: OneSeedOption = None
    seeds: Annotated[list[int], typer.Option("--seeds", metavar="N...", help="Several: 42 43 44.")] = _NONE  # type: ignore[assignment]
    controls: Annotated[list[str], typer.Option("--controls", metavar="NAMES", help="Some of random,highest,noise.")] = _NONE  # type: ignore[assignment]
    train_limit: TrainLimitOption = None
    epochs: EpochsOption = None
    batch_size: BatchSizeOption = None
    learning_rate: RateOption = None
    weight_decay: DecayOption = None
    warmup: WarmupOption = None
    clip: ClipOption = None
    max_length: MaxLengthChoice = None
    order: OrderOption = None
    anchor: AnchorChoice = None
    precision: PrecisionChoice = None
    freeze: FreezeOption = _NONE  # type: ignore[assignment]
    scheme: SchemeOption = None
    columns: ColumnsOption = None
    strict: StrictOption = False
    revision: RevisionOption = None
    device: DeviceOption = "auto"
    threads: ThreadsOption = None
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
    epochs: EpochsOption = None
    batch_size: BatchSizeOption = None
    learning_rate: RateOption = None
    weight_decay: DecayOption = None
    warmup: WarmupOption = None
    clip: ClipOption = None
    max_length: MaxLengthChoice = None
    order: OrderOption = None
    anchor: AnchorChoice = None
    precision: PrecisionChoice = None
    freeze: FreezeOption = _NONE  # type: ignore[assignment]
    scheme: SchemeOption = None
    columns: ColumnsOption = None
    strict: StrictOption = False
    revision: RevisionOption = None
    device: DeviceOption = "auto"
    threads: ThreadsOption = None
    json: JsonOption = False


def chosen_seeds(request: RunRequest) -> list[int]:
    """The seeds of the run.

    Raises:
        SettingError: `--seed` and `--seeds` are both given.
    """
    if request.seed is not None and request.seeds:
        raise SettingError(f"--seed {request.seed} and --seeds {' '.join(map(str, request.seeds))}: give one of the two")
    return list(request.seeds) or [42 if request.seed is None else request.seed]


def search_options(request: RunRequest) -> dict[str, Any]:
    """The fields of `SearchSpec` that the options set; the protocol answers for the rest."""
    given = {
        "how": request.search,
        "objective": request.objective,
        "max_pruned": request.max_pruned,
        "min_per_layer": request.min_per_layer,
        "delta": request.delta,
        "prune": request.prune,
    }
    return {name: value for name, value in given.items() if value is not None}


def train_options(request: RunRequest | FitRequest) -> dict[str, Any]:
    """The fields of `TrainSpec` that the options set; the seed of a run is its cells' affair."""
    given = {
        "epochs": request.epochs,
        "batch_size": request.batch_size,
        "learning_rate": request.learning_rate,
        "weight_decay": request.weight_decay,
        "warmup": request.warmup,
        "clip": request.clip,
        "max_length": request.max_length,
        "order": request.order,
        "anchor": request.anchor,
        "precision": request.precision,
        "freeze": tuple(request.freeze) or None,
    }
    return {name: value for name, value in given.items() if value is not None}
