"""The one call that runs any importance method by its name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError, UnknownNameError, allowed_names
from polyhead.core.heads import HeadScores, Normalisation
from polyhead.core.progress import Progress
from polyhead.importance.method import Call, Method
from polyhead.importance.table import METHODS
from polyhead.learning.batching import Batch
from polyhead.models.architectures import head_mask
from polyhead.models.devices import Precision

__all__ = ["METHODS", "check_normalisation", "method", "score_heads"]


def method(name: str) -> Method:
    """The row of that name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in METHODS:
        raise UnknownNameError(f"method {name!r}: {allowed_names(name, METHODS)}")
    return METHODS[name]


def check_normalisation(name: str, normalisation: Normalisation) -> None:
    """Refuse, before anything is scored, a normalisation that is not for the method's scores.

    Raises:
        UnknownNameError: No row has this name.
        SettingError: `paper` is for scores of 0 and more.
    """
    if normalisation == "paper" and method(name).sign in ("signed", "negative"):
        raise SettingError(
            f"method {name}: its scores may be below 0, and dividing a layer by its sum (normalisation paper) can turn their "
            "order round; use normalisation none"
        )


def score_heads(
    name: str,
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    seed: int = 42,
    precision: Precision | Literal["auto"] = "auto",
    progress: Progress | None = None,
    resume_file: Path | None = None,
    options: object = None,
) -> HeadScores:
    """Importance of every head, `[layers, heads]`, higher = more important, by the method of that name.

    Costs what the method's row says. The model is left as it was found. Heads that it no longer has are NaN.

    Args:
        name: A row of `METHODS`.
        model: A token classifier, pruned or not.
        batches: Labelled sentences from `scoring_batches`; never those of a test split. Methods that look at no data ignore them.
        seed: Of methods that draw random numbers.
        precision: Of the matrix products; `auto` is bf16 where the device has units for it.
        progress: Told how far the work is.
        resume_file: Unfinished work of a long method, from which a second call continues; the caller removes it.
        options: The method's own: an object of the type that its row names, such as `ShapleyOptions`, or a mapping by name.

    Raises:
        UnknownNameError: No row has this name.
        SettingError: No labelled word, where labels are needed; the method has no such option, or its value is not allowed; or
            a head that the model has gets no finite score, which weights that are not finite cause.
        StoreError: `resume_file` holds other work, or cannot be written.

    >>> import polyhead as ph
    >>> tagger = ph.Tagger.load("polyhead/tiny", task="pos", seed=42)
    >>> batches = ph.scoring_batches(tagger.encode(ph.sample(ph.open_corpus("phrases/en", "dev"), 16, seed=1)))
    >>> scores = score_heads("gradient", tagger.model, batches)
    >>> scores.values.shape, scores.n, scores.backward_passes
    ((4, 8), 16, 1)
    """
    row = method(name)
    call = Call(seed, precision, progress, resume_file, row.chosen(options))
    scores = row.score(model, batches, call)
    if (bad := np.argwhere(head_mask(model).keep & ~np.isfinite(scores.values))).size:
        raise SettingError(
            f"method {name}: head {bad[0][0]}.{bad[0][1]} has no finite score; {_not_finite(model)}: load another checkpoint, or "
            "train again with a lower learning rate"
        )
    return scores


def _not_finite(model: PreTrainedModel) -> str:
    names = [key for key, weight in model.named_parameters() if not bool(weight.isfinite().all())]
    return f"the weights {names[0]} hold NaN or infinity" if names else "the model's losses are not finite"
