"""How to train and how to search, as options: None leaves a setting to the protocol, or to the default of its spec."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

import typer

_TRAIN, _SEARCH = "Training", "Search for the number of heads"


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The fields of `TrainSpec` but for the seed; checked there, all together."""

    epochs: Annotated[
        int | None,
        typer.Option("--epochs", metavar="N", help="Passes over the training data; 3 unless given.", rich_help_panel=_TRAIN),
    ] = None
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", metavar="N", help="Sentences in a step; 16 unless given.", rich_help_panel=_TRAIN),
    ] = None
    learning_rate: Annotated[
        float | None,
        typer.Option(
            "--learning-rate",
            metavar="X",
            help="Peak rate, above 0; the protocol's (sound: 5e-5, or 3e-4 for encoders up to 384 wide) unless given.",
            rich_help_panel=_TRAIN,
        ),
    ] = None
    weight_decay: Annotated[
        float | None,
        typer.Option(
            "--weight-decay", metavar="X", help="AdamW's weight decay, 0 or more; 0.01 unless given.", rich_help_panel=_TRAIN
        ),
    ] = None
    warmup: Annotated[
        float | None,
        typer.Option(
            "--warmup",
            metavar="X",
            help="Share of the steps in which the rate rises, 0 to 1; the protocol's (sound: 0.06) unless given.",
            rich_help_panel=_TRAIN,
        ),
    ] = None
    clip: Annotated[
        float | None,
        typer.Option("--clip", metavar="X", help="Largest gradient norm, above 0; 1.0 unless given.", rich_help_panel=_TRAIN),
    ] = None
    max_length: Annotated[
        int | None,
        typer.Option(
            "--max-length", metavar="N", help="Pieces in a window, 8 or more; 256 unless given.", rich_help_panel=_TRAIN
        ),
    ] = None
    order: Annotated[
        Literal["buckets", "shuffled", "file"] | None,
        typer.Option(
            "--order",
            metavar="HOW",
            help="buckets (shuffled, of similar length), shuffled or file; the protocol's unless given.",
            rich_help_panel=_TRAIN,
        ),
    ] = None
    anchor: Annotated[
        Literal["text", "first"] | None,
        typer.Option(
            "--anchor",
            metavar="PIECE",
            help="Where a word is labelled: text (its first piece with text of it) or first; the protocol's unless given.",
            rich_help_panel=_TRAIN,
        ),
    ] = None
    precision: Annotated[
        Literal["auto", "bf16", "fp32"] | None,
        typer.Option(
            "--precision",
            metavar="NAME",
            help="auto (bf16 where the processor has units for it), bf16 or fp32; auto unless given.",
            rich_help_panel=_TRAIN,
        ),
    ] = None
    freeze: Annotated[
        list[str],
        typer.Option("--freeze", metavar="PART", help="What is not trained: embeddings.", rich_help_panel=_TRAIN),
    ] = ()  # type: ignore[assignment]


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """The fields of `SearchSpec` that a user may set; checked there."""

    max_pruned: Annotated[
        int, typer.Option("--max-pruned", metavar="K", help="Most heads to prune.", rich_help_panel=_SEARCH)
    ] = 12
    how: Annotated[
        Literal["sequential", "sweep", "screened"] | None,
        typer.Option(
            "--search",
            metavar="HOW",
            help="screened (at most five fine-tunings), sequential or sweep (all of 0..K); the protocol's unless given.",
            rich_help_panel=_SEARCH,
        ),
    ] = None
    objective: Annotated[
        str,
        typer.Option(
            "--objective",
            metavar="best|within:X",
            help="Take the k with the best dev score, or the largest k that loses at most X points of k = 0.",
            rich_help_panel=_SEARCH,
        ),
    ] = "best"
    delta: Annotated[
        float,
        typer.Option(
            "--delta",
            metavar="X",
            help="A sequential search ends at a score more than X points below the best so far.",
            rich_help_panel=_SEARCH,
        ),
    ] = 0.0
    min_per_layer: Annotated[
        int, typer.Option("--min-per-layer", metavar="N", help="Heads that every layer keeps.", rich_help_panel=_SEARCH)
    ] = 0
    prune: Annotated[
        Literal["before", "after"],
        typer.Option("--prune", metavar="WHEN", help="before or after fine-tuning.", rich_help_panel=_SEARCH),
    ] = "before"
    repair: Annotated[
        Literal["none", "means", "refit"],
        typer.Option(
            "--repair",
            metavar="HOW",
            help="With --prune after, without training: means (mean output into the bias), refit (kept heads rescaled) or none.",
            rich_help_panel=_SEARCH,
        ),
    ] = "none"


def given(options: TrainOptions | SearchOptions) -> dict[str, Any]:
    """The settings that the options name, by field; the protocol and the spec answer for the rest."""
    values = {item.name: getattr(options, item.name) for item in fields(options)}
    return {name: value for name, value in values.items() if value is not None and value != [] and value != ()}
