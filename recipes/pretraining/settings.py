"""What a recipe's one file of settings may hold, table by table."""

from dataclasses import field
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from polyhead.core.settings_file import Many, read_toml, settings, settings_from
from polyhead.core.specs import Count, Flag, NonNegative, Positive, Share, Whole


@settings
class TextSpec:
    """Where the text comes from; at least one of the three.

    Attributes:
        phrases: So many of the package's generated phrases in each language, translations of one another; 0 for none.
        languages: Of the phrases; all that there are if empty.
        spaced: Phrases have a space between all words, as taggers are given them, in languages without spaces too.
        lines: Text files, a sentence a line.
        parallel: Tab-separated files: what stands in one line says the same.
        seed: Of the phrases.
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
    """The encoder's shape and how it starts.

    Attributes:
        vocabulary: Pieces, special ones included.
        layers: How many.
        heads: In each layer.
        hidden: Width; a multiple of `heads`.
        inner: Width of the feed-forward layers.
        positions: Longest sequence in pieces, ends included.
        svd: Embeddings start from an SVD of the piece × parallel-sentence matrix, so that translations start near each other.
        positional_heads: By layer, how many heads start by looking at one place: 1 before, 1 after, 2 before, 2 after, itself.
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
    """How it is trained.

    Attributes:
        steps: Of the optimiser.
        pieces: In a batch, padding included.
        pairs: Share of examples that are two translations side by side instead of one line.
        masked: Share of pieces to be told; 8 in 10 of them are hidden, 1 is another piece, 1 stays.
        learning_rate: At its highest.
        warmup: Share of the steps over which it rises; then it falls to 0.
        weight_decay: Of matrices.
        max_grad_norm: Gradients are scaled down to it.
        dropout: In the layers and the attention.
        seed: Of weights, order and masks.
    """

    steps: Count = 3000
    pieces: Annotated[Count, Field(ge=64)] = 4096
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
    """A whole file of settings."""

    text: TextSpec
    model: ModelSpec = field(default_factory=ModelSpec)
    training: TrainingSpec = field(default_factory=TrainingSpec)


def read_recipe(path: Path) -> Recipe:
    """The settings in a TOML file.

    Raises:
        SettingError: The file cannot be read, or holds options that do not exist or have wrong values; all are named.
    """
    return settings_from(Recipe, read_toml(path), where=str(path))
