"""The settings of a recipe, table by table."""

from dataclasses import field
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from polyhead.core.errors import SettingError
from polyhead.core.settings_file import Many, read_toml, settings
from polyhead.core.specs import Count, Flag, NonNegative, Positive, Share, Whole


@settings
class TextSpec:
    """Sources of the text; at least one of `phrases`, `lines` and `parallel`.

    Attributes:
        phrases: Number of generated phrases per language, translations of one another; 0 for none.
        languages: Languages of the phrases; all if empty.
        spaced: Put a space between all words of a phrase, as in a tagger's input, also in languages without spaces.
        lines: Text files with one sentence per line.
        parallel: Tab-separated files; the columns of a line are translations.
        seed: Random seed of the phrases.
    """

    phrases: Whole = 0
    languages: Many[str] = ()
    spaced: Flag = False
    lines: Many[str] = ()
    parallel: Many[str] = ()
    seed: Whole = 42

    @model_validator(mode="after")
    def _has_text(self) -> "TextSpec":
        if not (self.phrases or self.lines or self.parallel):
            raise ValueError("no text: set phrases, lines or parallel")
        return self


@settings
class ModelSpec:
    """The encoder's shape and initialisation.

    Attributes:
        vocabulary: Number of subwords, including special tokens.
        layers: Number of layers.
        heads: Heads per layer.
        hidden: Hidden width; a multiple of `heads`.
        inner: Width of the feed-forward layers.
        positions: Longest sequence in subwords, including special tokens.
        svd: Initialise embeddings from an SVD of the subword × parallel-sentence matrix, so that translations start close.
        positional_heads: Heads per layer that start by attending to one position: 1 before, 1 after, 2 before, 2 after, itself.
    """

    vocabulary: Annotated[Count, Field(ge=64)] = 4000
    layers: Count = 4
    heads: Count = 8
    hidden: Count = 128
    inner: Count = 512
    positions: Annotated[Count, Field(ge=16)] = 130
    svd: Flag = True
    positional_heads: Many[Annotated[Whole, Field(le=5)]] = (5, 3, 3)

    @model_validator(mode="after")
    def _has_a_shape(self) -> "ModelSpec":
        if self.hidden % self.heads:
            raise ValueError(f"hidden = {self.hidden}: should be a multiple of heads = {self.heads}")
        if len(self.positional_heads) > self.layers or max(self.positional_heads, default=0) > self.heads:
            raise ValueError(f"positional_heads = {self.positional_heads}: there are {self.layers} layers of {self.heads} heads")
        return self


@settings
class TrainingSpec:
    """Training settings.

    Attributes:
        steps: Optimiser steps.
        subwords: Subwords per batch, including padding.
        pairs: Share of examples that are two translations side by side instead of one line.
        masked: Share of subwords to predict; of ten, 8 are masked, 1 is replaced, 1 is unchanged.
        learning_rate: Peak learning rate.
        warmup: Share of the steps in which the rate rises; then it falls to 0.
        weight_decay: Weight decay of matrices.
        max_grad_norm: Largest gradient norm.
        dropout: Dropout in layers and attention.
        seed: Random seed of weights, data order and masks.
    """

    steps: Count = 3000
    subwords: Annotated[Count, Field(ge=64)] = 4096
    pairs: Share = 0.5
    masked: Annotated[Positive, Field(lt=1)] = 0.2
    learning_rate: Positive = 1e-3
    warmup: Annotated[NonNegative, Field(lt=1)] = 0.05
    weight_decay: NonNegative = 0.01
    max_grad_norm: Positive = 1.0
    dropout: Annotated[NonNegative, Field(lt=1)] = 0.0
    seed: Whole = 42


@settings
class Recipe:
    """All settings of a recipe."""

    text: TextSpec
    model: ModelSpec = field(default_factory=ModelSpec)
    training: TrainingSpec = field(default_factory=TrainingSpec)


def read_recipe(path: Path) -> Recipe:
    """Read the settings of a TOML file.

    Raises:
        SettingError: The file cannot be read, or has unknown options or bad values; all are named.
    """
    values = read_toml(path)
    try:
        return Recipe(**values)
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from None
