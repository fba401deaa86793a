"""Requests of the commands on a finished model: each field is an option, the docstring is the help text."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from polyhead.cli.options import (
    ColumnsOption,
    CorpusOption,
    DataOption,
    Files,
    JsonOption,
    LanguageOption,
    LimitOption,
    Machine,
    MethodOption,
    ModelArgument,
    NormaliseOption,
    OneDataOption,
    Reading,
    RevisionOption,
    SchemeOption,
    SeedOption,
    SplitOption,
    TargetOption,
    TaskOption,
)
from polyhead.core.settings_file import Place
from polyhead.core.specs import Count, Whole


@dataclass(frozen=True, kw_only=True)
class DoctorRequest:
    """Check on your own model and text that masks, pruning, checkpoints and scores are correct; exit 1 if not.

    Writes only a pruned copy in the temporary folder, and deletes it after loading it again. Computes in float32, gradients in
    float64.
    """

    model: ModelArgument
    task: TaskOption
    data: OneDataOption = None
    corpus: CorpusOption = None
    split: SplitOption = "dev"
    language: LanguageOption = "und"
    method: Annotated[str, typer.Option("--method", metavar="NAME", help="The scores to check; see polyhead methods.")] = (
        "gradient"
    )
    option: MethodOption = ()  # type: ignore[assignment]
    limit: Annotated[Count, typer.Option("--limit", metavar="N", help="Check on a seeded sample of N sentences.")] = 16
    reading: Reading
    seed: SeedOption = 42
    files: Files
    revision: RevisionOption = None
    machine: Machine
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class RankRequest:
    """Score every head of a model on labelled text and print the order, least important first."""

    model: ModelArgument
    task: TaskOption
    data: OneDataOption = None
    corpus: CorpusOption = None
    split: SplitOption = "dev"
    language: LanguageOption = "und"
    method: Annotated[str, typer.Option("--method", metavar="NAME", help="See polyhead methods.")] = "gradient"
    option: MethodOption = ()  # type: ignore[assignment]
    limit: LimitOption = None
    normalise: NormaliseOption = "none"
    reading: Reading
    seed: SeedOption = 42
    files: Files
    revision: RevisionOption = None
    machine: Machine
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Also write the scores: .tsv or .json.")] = None
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class PruneRequest:
    """Remove heads from a model for good and save the rest; choose them one by one, by a mask, or by scores and a number."""

    model: ModelArgument
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder for the pruned model.", show_default=False)]
    heads: Annotated[list[str], typer.Option("--heads", metavar="L.H...", help="Heads to prune, as 3.5,4.1.")] = ()  # type: ignore[assignment]
    mask: Annotated[Path | None, typer.Option("--mask", metavar="FILE", help="Mask JSON: heads to keep.")] = None
    scores: Annotated[Path | None, typer.Option("--scores", metavar="FILE", help="Scores (.tsv, .json); with --n-pruned.")] = None
    n_pruned: Annotated[
        Whole | None,
        typer.Option(
            "--n-pruned", metavar="K", help="Number of heads to prune in addition to those already pruned, lowest score first."
        ),
    ] = None
    min_per_layer: Annotated[
        Whole, typer.Option("--min-per-layer", metavar="N", help="Least number of heads kept in every layer.")
    ] = 0
    normalise: NormaliseOption = "none"
    densify: Annotated[
        bool,
        typer.Option("--densify", metavar="", help="Keep the full shape, with zeros for pruned heads; loads without polyhead."),
    ] = False
    revision: RevisionOption = None
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class EvaluateRequest:
    """Score a tagger in one or more languages, over words (or spans), in points from 0 to 100."""

    model: ModelArgument
    task: TaskOption
    target: TargetOption
    data: DataOption = None
    split: Annotated[
        Literal["train", "dev", "test"], typer.Option("--split", metavar="NAME", help="Split of each target: train, dev or test.")
    ] = "test"
    reading: Reading
    files: Files
    revision: RevisionOption = None
    machine: Machine
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class PredictRequest:
    """Tag CoNLL-U or column text: the output is the same lines with the tag column filled and everything else unchanged.

    The output goes to stdout or to --out. With --json, stdout gets words and tags as one document; the lines go to --out only.
    """

    model: ModelArgument
    task: TaskOption
    file: Annotated[Place, typer.Argument(metavar="FILE", help="Text to tag; - reads stdin.")] = "-"
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write here instead of stdout.")] = None
    format: Annotated[
        Literal["auto", "conllu", "columns"],
        typer.Option("--format", metavar="NAME", help="conllu, columns or auto (conllu for pos, unless --columns is given)."),
    ] = "auto"
    reading: Reading
    scheme: SchemeOption = None
    columns: ColumnsOption = None
    revision: RevisionOption = None
    machine: Machine
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class MethodsRequest:
    """List the ways of scoring heads: their cost in passes over the data, what they need, and their source."""

    json: JsonOption = False
