"""The protocols as data: polyhead's own, that of the paper's text, and that of its released code."""

from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from polyhead.core.heads import Normalisation
from polyhead.core.specs import Anchor, Order, SearchHow

ProtocolName = Literal["sound", "paper", "paper-released"]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Settings fixed by a protocol; explicit settings override them. The defaults are those of `sound`.

    Attributes:
        claim: What a reader of its numbers must know.
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
    """

    claim: str
    method: str = "gradient"
    normalisation: Normalisation = "none"
    order: Order = "buckets"
    anchor: Anchor = "text"
    learning_rate: float | None = None
    warmup: float = 0.06
    how: SearchHow = "screened"
    reported_split: bool = False
    mask_in_training_only: bool = False
    first_rows: bool = False
    merge_types: bool = False


_SOUND: Final = Protocol(
    claim="heads ranked on dev, k chosen on source dev among 0..K, each test split scored for k = 0 and the chosen k only",
)
_PAPER: Final = Protocol(
    claim="as Ma et al. 2021 describe it: best of k = 1..K per target on the reported split, a maximum over noisy draws",
    method="weight-gradient",
    normalisation="paper",
    order="file",
    anchor="first",
    learning_rate=5e-5,
    warmup=0.0,
    how="sweep",
    reported_split=True,
    merge_types=True,
)
_PAPER_RELEASED: Final = replace(
    _PAPER,
    claim="the released code of Ma et al. 2021: wrong axis, all heads on at evaluation, best of k = 1..K per target",
    method="weight-gradient-released",
    mask_in_training_only=True,
    first_rows=True,
)
PROTOCOLS: Final[dict[ProtocolName, Protocol]] = {"sound": _SOUND, "paper": _PAPER, "paper-released": _PAPER_RELEASED}


def fixed_by(rules: Protocol) -> dict[str, dict[str, Any]]:
    """The fields of `SearchSpec` and `TrainSpec` that a protocol sets where the user does not."""
    return {
        "search": {"how": rules.how, "include_zero": not rules.reported_split},
        "train": {
            "order": rules.order,
            "anchor": rules.anchor,
            "learning_rate": rules.learning_rate,
            "warmup": rules.warmup,
        },
    }
