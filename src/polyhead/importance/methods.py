"""The one call that runs any importance method by its name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from transformers import PreTrainedModel

from polyhead.core.errors import SettingError, UnknownNameError, allowed_names
from polyhead.core.heads import HeadScores, Normalisation
from polyhead.core.progress import Progress
from polyhead.importance.method import Method, Options
from polyhead.importance.table import METHODS
from polyhead.learning.batching import Batch
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
    n_lowest: int = 12,
    max_passes: float | None = None,
    resume_file: Path | None = None,
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
        n_lowest: How many of the lowest heads matter to the caller; see `Options`.
        max_passes: Most forward passes over the data that `shapley` may take.
        resume_file: Partial results of a long method, from which a second call continues; the caller removes it.

    Raises:
        UnknownNameError: No row has this name.
        SettingError: No labelled word, where labels are needed; or a setting is out of its range.
        StoreError: `resume_file` holds other work, or cannot be written.

    >>> import polyhead as ph
    >>> tagger = ph.Tagger.load("polyhead/tiny", task="pos", seed=42)
    >>> batches = ph.scoring_batches(tagger.encode(ph.sample(ph.open_corpus("phrases/en", "dev"), 16, seed=1)))
    >>> scores = score_heads("gradient", tagger.model, batches)
    >>> scores.values.shape, scores.n, scores.backward_passes
    ((4, 8), 16, 1)
    """
    options = Options(seed, precision, progress, n_lowest, max_passes, resume_file)
    return method(name).score(model, batches, options)
