"""Scores and masks from files, held against the model that they are to be used on."""

from pathlib import Path

import numpy as np

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask, HeadScores


def check_shape(path: Path, shape: tuple[int, ...], *, model: str, present: HeadMask) -> None:
    """Refuse what is for a model of other layers or heads.

    Raises:
        SettingError: The shapes differ.
    """
    if shape != present.keep.shape:
        raise SettingError(
            f"{path}: is for {shape[0]} layers of {shape[1]} heads; {model} has {present.n_layers} of {present.n_heads}"
        )


def check_scores(path: Path, scores: HeadScores, *, model: str, present: HeadMask) -> None:
    """Refuse scores that leave out a head of the model, or are for a model of other layers or heads.

    Raises:
        SettingError: The shapes differ, or a head that the model has got no score.
    """
    check_shape(path, scores.values.shape, model=model, present=present)
    unscored = [head for head in present.kept if np.isnan(scores.values[head.layer, head.head])]
    if unscored:
        raise SettingError(
            f"{path}: no score for head {unscored[0]}, which {model} has ({len(unscored)} such); rank this model "
            "with polyhead rank"
        )


def other_model(path: Path, scores: HeadScores, *, model: str) -> str:
    """A note that the scores were made on another model than they are used on, as far as their file says; else empty."""
    if not scores.model or scores.model == model or Path(scores.model).resolve() == Path(model).resolve():
        return ""
    return f"note: {path}: its scores were made on {scores.model}, and are used on {model}"
