"""Settings of training and of the search for k: frozen and validated.

The types, ranges and defaults here hold for the API, for settings files and for the command line, where every field with a
description is an option and the description is its help.
"""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from polyhead.core.settings_file import Many, checked, settings

Flag = Annotated[bool, Field(strict=True)]
Whole = Annotated[int, Field(strict=True, ge=0, lt=10**18)]
Count = Annotated[int, Field(strict=True, ge=1, lt=10**18)]
Seed = Annotated[int, Field(strict=True, ge=0, le=2**32 - 1)]
WindowLength = Annotated[int, Field(strict=True, ge=8, lt=10**18)]
Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Anchor = Literal["text", "first"]
Order = Literal["buckets", "shuffled", "file"]
SearchHow = Literal["sequential", "sweep", "screened", "nested"]
PrecisionName = Literal["auto", "bf16", "fp32"]


def _known(objective: str) -> str:
    if not re.fullmatch(r"best|within:[0-9]{1,9}(\.[0-9]{1,9})?", objective):
        raise ValueError("should be best, or within:X with X in points, for example within:0.5")
    return objective


Objective = Annotated[str, AfterValidator(_known)]


def allowed_loss(objective: str) -> float | None:
    """Points that the objective `within:X` allows to lose; None for `best`.

    Raises:
        SettingError: The objective is neither.

    >>> allowed_loss("within:0.5")
    0.5
    """
    points = checked("objective", objective, Objective).removeprefix("within:")
    return None if points == "best" else float(points)


@settings
class TrainSpec:
    """How a model is fine-tuned; the defaults are those of the protocol `sound`.

    Raises:
        SettingError: A value is not allowed; the message names all such values.

    >>> TrainSpec(epochs=1).rate_for(hidden_size=768)
    5e-05
    """

    epochs: Annotated[Count, Field(description="Passes over the training data.")] = 3
    batch_size: Annotated[Count, Field(description="Sentences per optimiser step.")] = 16
    learning_rate: Annotated[
        Positive | None,
        Field(description="Peak of the linear schedule; unless given, 5e-5, or 3e-4 for encoders up to 384 wide."),
    ] = None
    weight_decay: Annotated[
        NonNegative, Field(description="AdamW's weight decay on weight matrices; biases and norms have none.")
    ] = 0.01
    warmup: Annotated[Share, Field(description="Share of the steps in which the learning rate rises, 0 to 1.")] = 0.06
    clip: Annotated[Positive, Field(description="Largest gradient norm.")] = 1.0
    max_length: Annotated[WindowLength, Field(description="Subwords per window, special tokens included.")] = 256
    order: Annotated[
        Order,
        Field(description="Order of the sentences: buckets shuffles batches of similar length, file keeps the file's order."),
    ] = "buckets"
    anchor: Annotated[
        Anchor,
        Field(description="Subword that carries a word's label: the first that has text of the word, or simply the first."),
    ] = "text"
    precision: Annotated[PrecisionName, Field(description="auto uses bf16 autocast where the processor has units for it.")] = (
        "auto"
    )
    freeze: Annotated[Many[Literal["embeddings"]], Field(description="What is not trained: embeddings.")] = ()
    seed: Seed = 42  # of head initialisation, data order and dropout

    def rate_for(self, hidden_size: int) -> float:
        """The peak learning rate: `learning_rate` if set, else 3e-4 for encoders up to 384 wide and 5e-5 for wider ones.

        On a real encoder 384 wide, none of 5e-5, 1e-4 and 2e-4 beat 3e-4 by more than seed noise: 1e-4 by 0.9 points (95 %
        interval −0.7 to +2.4, three seeds, mean of four dev sets; `benchmarks/learning_rate.py`).
        """
        return self.learning_rate or (3e-4 if hidden_size <= 384 else 5e-5)


@settings
class SearchSpec:
    """How the number of heads to prune is found.

    `include_zero=False` keeps k = 0 for comparison but never chooses it (the paper's best of 1..12).

    Raises:
        SettingError: A value is not allowed; the message names all such values.

    >>> SearchSpec(max_pruned=24, objective="within:0.5").how
    'screened'
    """

    how: Annotated[
        SearchHow,
        Field(
            description="screened takes at most five fine-tunings, nested two (one serves all k), sequential stops once the "
            "score drops, sweep tries 0..K."
        ),
    ] = "screened"
    max_pruned: Annotated[Whole, Field(description="Largest number of heads to prune.")] = 12
    objective: Annotated[
        Objective,
        Field(description="Choose the k with the best dev score, or the largest k that loses at most X points."),
    ] = "best"
    delta: Annotated[
        NonNegative, Field(description="A sequential search stops at a score more than X points below the best so far.")
    ] = 0.0
    min_per_layer: Annotated[Whole, Field(description="Heads that every layer keeps.")] = 0
    prune: Annotated[
        Literal["before", "after"], Field(description="Prune before fine-tuning or after it; after, a trial trains nothing.")
    ] = "before"
    repair: Annotated[
        Literal["none", "means", "refit"],
        Field(description="With --prune after: add the pruned heads' mean output to the bias, or rescale the kept heads."),
    ] = "none"
    include_zero: Flag = True

    @property
    def one_training(self) -> bool:
        """Whether all trials are masks of one fine-tuned model."""
        return self.how == "nested" or self.prune == "after"

    @model_validator(mode="after")
    def _agrees(self) -> "SearchSpec":
        if self.repair != "none" and self.prune != "after":
            raise ValueError(f"repair = {self.repair!r}: should be none unless prune is 'after', but prune = {self.prune!r}")
        if self.how == "nested" and self.prune == "after":
            raise ValueError("how = 'nested': trains with heads masked, so prune should be 'before'; 'after' trains nothing")
        return self
