"""The protocols as data: polyhead's own, that of the paper's text, and that of its released code."""

from dataclasses import dataclass
from typing import Literal

from polyhead.core.heads import Normalisation

ProtocolName = Literal["sound", "paper", "paper-released"]


@dataclass(frozen=True)
class Protocol:
    """Settings fixed by a protocol; explicit settings override them.

    Attributes:
        method: Importance method.
        normalisation: Of the scores before ranking.
        order: Of the training sentences.
        anchor: Subword of a word that carries its label.
        learning_rate: None lets the encoder's size decide.
        warmup: Share of the steps in which the rate rises.
        how: Search for the number of heads.
        reported_split: True = choose k per target on the split that is reported (what the paper's tables do).
        mask_in_training_only: True = heads are masked while training and back on at evaluation (what its code does).
        merge_types: True = entity types other than PER, ORG and LOC count as MISC in all data.
        first_rows: True = a limited training set is the file's first rows instead of a seeded sample.
        claim: What a reader of its numbers must know.
    """

    method: str
    normalisation: Normalisation
    order: Literal["buckets", "shuffled", "file"]
    anchor: Literal["text", "first"]
    learning_rate: float | None
    warmup: float
    how: Literal["sequential", "sweep", "screened"]
    reported_split: bool
    mask_in_training_only: bool
    first_rows: bool
    merge_types: bool
    claim: str


PROTOCOLS: dict[str, Protocol] = {
    "sound": Protocol(
        method="gradient",
        normalisation="none",
        order="buckets",
        anchor="text",
        learning_rate=None,
        warmup=0.06,
        how="screened",
        reported_split=False,
        mask_in_training_only=False,
        first_rows=False,
        merge_types=False,
        claim="heads ranked on dev, k chosen on source dev among 0..K, each test split scored for k = 0 and the chosen k only",
    ),
    "paper": Protocol(
        method="weight-gradient",
        normalisation="paper",
        order="file",
        anchor="first",
        learning_rate=5e-5,
        warmup=0.0,
        how="sweep",
        reported_split=True,
        mask_in_training_only=False,
        first_rows=False,
        merge_types=True,
        claim="as Ma et al. 2021 describe it: best of k = 1..K per target on the reported split, a maximum over noisy draws",
    ),
    "paper-released": Protocol(
        method="weight-gradient-released",
        normalisation="paper",
        order="file",
        anchor="first",
        learning_rate=5e-5,
        warmup=0.0,
        how="sweep",
        reported_split=True,
        mask_in_training_only=True,
        first_rows=True,
        merge_types=True,
        claim="the released code of Ma et al. 2021: wrong axis, all heads on at evaluation, best of k = 1..K per target",
    ),
}
