"""What a row of the methods table says, and the choices that every method is called with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from transformers import PreTrainedModel

from polyhead.core.heads import HeadScores
from polyhead.core.progress import Progress
from polyhead.learning.batching import Batch
from polyhead.models.devices import Precision


@dataclass(frozen=True)
class Options:
    """What a call to `score_heads` may choose; each method takes what concerns it.

    Attributes:
        seed: Of methods that draw random numbers.
        precision: Of the matrix products; gates and sums stay float32.
        progress: Told how far the work is.
        n_lowest: K, how many of the lowest heads the caller cares about: `shapley` stops when these are settled, `l0` leaves
            all others open.
        max_passes: Forward passes over the data after which `shapley` stops, settled or not; None for no limit.
        resume_file: File in which a long method keeps what it has, so that a second call goes on from there; None keeps nothing.
    """

    seed: int = 42
    precision: Precision | Literal["auto"] = "auto"
    progress: Progress | None = None
    n_lowest: int = 12
    max_passes: float | None = None
    resume_file: Path | None = None


Score = Callable[[PreTrainedModel, Sequence[Batch], Options], HeadScores]


@dataclass(frozen=True)
class Passes:
    """What a method costs, in full passes over the data; a pass over half of the layers is half a pass.

    Attributes:
        text: For readers; L layers, H heads a layer.
        count: `(layers, heads)` → passes of an unpruned model; None where it depends on the data and the result says it.
    """

    text: str
    count: Callable[[int, int], float] | None


NO_PASS = Passes("0", lambda layers, heads: 0.0)
ONE_PASS = Passes("1", lambda layers, heads: 1.0)


@dataclass(frozen=True)
class Method:
    """One row: what a user must know before choosing, and what the conformance tests hold the method to.

    Attributes:
        name: What users write.
        summary: What it measures.
        score: The function, in the one form of call.
        forward: Forward passes over the data.
        backward: Backward passes over the data.
        memory: What it holds beside the model.
        needs_labels: Whether unlabelled text is not enough.
        sign: `absolute` (0 or more), `signed` (negative: the head harms), `negative` (0 or less) or `none`.
        dead_head_is_zero: A head whose output columns are zero scores 0.
        finds_planted: A head that alone carries the label comes out on top.
        batch_invariant: Neither batch size, nor order, nor padding changes the score.
        source: Where it is from.
    """

    name: str
    summary: str
    score: Score
    forward: Passes
    backward: Passes
    memory: str
    needs_labels: bool
    sign: Literal["absolute", "signed", "negative", "none"]
    dead_head_is_zero: bool
    finds_planted: bool
    batch_invariant: bool
    source: str

    @property
    def needs(self) -> Literal["labels", "text", "nothing"]:
        """What data it looks at."""
        return "labels" if self.needs_labels else "nothing" if self.forward is NO_PASS else "text"
