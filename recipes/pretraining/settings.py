"""What a recipe's one file of settings may hold, table by table."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field

from polyhead.core.errors import SettingError
from polyhead.core.settings_file import read_toml, spec_from
from polyhead.core.specs import NonNegative, Positive, check_fields

Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True)
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

    phrases: Annotated[int, Field(ge=0)] = 0
    languages: tuple[str, ...] = ()
    spaced: bool = False
    lines: tuple[str, ...] = ()
    parallel: tuple[str, ...] = ()
    seed: Annotated[int, Field(ge=0)] = 42

    def __post_init__(self) -> None:
        check_fields(self)
        if not (self.phrases or self.lines or self.parallel):
            raise SettingError("no text: set phrases, lines or parallel")


@dataclass(frozen=True, kw_only=True)
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

    vocabulary: Annotated[int, Field(ge=64)] = 4000
    layers: Count = 4
    heads: Count = 8
    hidden: Count = 128
    inner: Count = 512
    positions: Annotated[int, Field(ge=16)] = 130
    svd: bool = True
    positional_heads: tuple[Annotated[int, Field(ge=0, le=5)], ...] = (5, 3, 3)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.hidden % self.heads:
            raise SettingError(f"hidden = {self.hidden}: should be a multiple of heads = {self.heads}")
        if len(self.positional_heads) > self.layers or max(self.positional_heads, default=0) > self.heads:
            raise SettingError(
                f"positional_heads = {self.positional_heads}: there are {self.layers} layers of {self.heads} heads"
            )


@dataclass(frozen=True, kw_only=True)
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
    pieces: Annotated[int, Field(ge=64)] = 4096
    pairs: Annotated[float, Field(ge=0, le=1)] = 0.5
    masked: Annotated[float, Field(gt=0, lt=1)] = 0.2
    learning_rate: Positive = 1e-3
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    weight_decay: NonNegative = 0.01
    max_grad_norm: Positive = 1.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    seed: Annotated[int, Field(ge=0)] = 42

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
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
    return spec_from(Recipe, read_toml(path), where=str(path))
