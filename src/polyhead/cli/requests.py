"""Requests of the commands on a model: each field is an option, the docstring is the help text."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

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
    Shown,
    SplitOption,
    TargetOption,
    TaskOption,
)
from polyhead.core.settings_file import Many, Place
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
    method: Annotated[str, Shown("The scores to check; see polyhead methods.")] = "gradient"
    option: MethodOption = ()
    limit: Annotated[Count, Shown("Check on a seeded sample of N sentences.")] = 16
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
    method: Annotated[str, Shown("See polyhead methods.")] = "gradient"
    option: MethodOption = ()
    limit: LimitOption = None
    normalise: NormaliseOption = "none"
    reading: Reading
    seed: SeedOption = 42
    files: Files
    revision: RevisionOption = None
    machine: Machine
    out: Annotated[Path | None, Shown("Also write the scores: .tsv or .json; long methods then continue after a stop.")] = None
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class CurveRequest:
    """Judge orders of heads: the score as heads are ablated lowest first, highest first and at random, without retraining.

    An order is good if ablating its lowest heads costs little: its area is near 1, above random orders and far above the same
    order reversed. --oracle shows how much better an order could be on these sentences.
    """

    model: ModelArgument
    task: TaskOption
    data: OneDataOption = None
    scores: Annotated[Many[Path], Shown("One or more score files, .tsv or .json; each gives one order.")]
    corpus: CorpusOption = None
    split: Annotated[Literal["train", "dev", "test"], Shown("Split of the corpus. Choose between orders on dev.")] = "dev"
    language: LanguageOption = "und"
    max_pruned: Annotated[Count | None, Shown("Most heads to ablate; half of the model's heads unless given.", "K")] = None
    random_seeds: Annotated[Whole, Shown("Number of random orders; their seeds start at --seed.")] = 5
    oracle: Annotated[
        bool, Shown("Add the greedy oracle and every order's regret; takes thousands of passes, so use --limit.")
    ] = False
    limit: LimitOption = None
    normalise: NormaliseOption = "none"
    reading: Reading
    seed: SeedOption = 42
    files: Files
    revision: RevisionOption = None
    machine: Machine
    out: Annotated[
        Path | None,
        Shown("Also write curve.json, curve.md and curve.svg there; a stopped oracle continues from this folder.", "FOLDER"),
    ] = None
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class PruneRequest:
    """Remove heads from a model for good and save the rest; choose them one by one, by a mask, or by scores and a number."""

    model: ModelArgument
    out: Annotated[Path, Shown("Folder for the pruned model.", "FOLDER")]
    heads: Annotated[Many[str], Shown("Heads to prune, as 3.5,4.1.", "L.H...")] = ()
    mask: Annotated[Path | None, Shown("Mask JSON: heads to keep.")] = None
    scores: Annotated[Path | None, Shown("Scores (.tsv, .json); with --n-pruned.")] = None
    n_pruned: Annotated[
        Whole | None, Shown("Number of heads to prune in addition to those already pruned, lowest score first.", "K")
    ] = None
    min_per_layer: Annotated[Whole, Shown("Least number of heads kept in every layer.")] = 0
    normalise: NormaliseOption = "none"
    densify: Annotated[bool, Shown("Keep the full shape, with zeros for pruned heads; loads without polyhead.")] = False
    revision: RevisionOption = None
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class EvaluateRequest:
    """Score a tagger in one or more languages, over words (or spans), in points from 0 to 100."""

    model: ModelArgument
    task: TaskOption
    target: TargetOption
    data: DataOption = None
    split: Annotated[Literal["train", "dev", "test"], Shown("Split of each target.")] = "test"
    limit: LimitOption = None
    reading: Reading
    seed: SeedOption = 42
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
    file: Annotated[Place, Shown("Text to tag; - reads stdin.", "FILE", positional=True)] = "-"
    out: Annotated[Path | None, Shown("Write here instead of stdout.")] = None
    format: Annotated[
        Literal["auto", "conllu", "columns"], Shown("auto is conllu for pos, unless --columns is given, and else columns.")
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
