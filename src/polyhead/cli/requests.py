"""Requests of the commands that fine-tune nothing: each field is an option, the docstring is the help text."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from polyhead.cli.options import (
    AnySplitOption,
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
from polyhead.core.specs import Count, PrecisionName, Share, Whole


@dataclass(frozen=True, kw_only=True)
class TaggerRequest:
    """What every command takes that runs a tagger."""

    model: ModelArgument
    task: TaskOption = None
    reading: Reading
    revision: RevisionOption = None
    machine: Machine
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class TextRequest(TaggerRequest):
    """What every command takes that reads labelled text."""

    data: DataOption = None
    split: AnySplitOption
    limit: LimitOption = None
    files: Files
    seed: SeedOption = 42


@dataclass(frozen=True, kw_only=True)
class OneTextRequest(TextRequest):
    """About one file, or one split of a corpus."""

    data: OneDataOption = None
    corpus: CorpusOption = None
    language: LanguageOption = "und"


@dataclass(frozen=True, kw_only=True)
class DoctorRequest(OneTextRequest):
    """Check on your own model and text that masks, pruning, checkpoints and scores are correct; exit 1 if not.

    Writes only a pruned copy in the temporary folder, and deletes it after loading it again. Computes in float32, gradients in
    float64.
    """

    split: SplitOption = "dev"
    method: Annotated[str, Shown("The scores to check; see polyhead methods.")] = "gradient"
    option: MethodOption = ()
    limit: Annotated[Count, Shown("Check on a seeded sample of N sentences.")] = 16


@dataclass(frozen=True, kw_only=True)
class RankRequest(OneTextRequest):
    """Score every head of a model on labelled text and print the order, least important first."""

    split: SplitOption = "dev"
    method: Annotated[str, Shown("See polyhead methods.")] = "gradient"
    option: MethodOption = ()
    normalise: NormaliseOption = "none"
    until_settled: Annotated[Count | None, Shown("Read sentences at random until the lowest K heads are settled.", "K")] = None
    may_differ: Annotated[Share | None, Shown("Share of these K heads that may differ from a full pass; 0.05 unless given.")] = (
        None
    )
    out: Annotated[Path | None, Shown("Also write the scores: .tsv or .json; long methods then continue after a stop.")] = None


@dataclass(frozen=True, kw_only=True)
class CurveRequest(OneTextRequest):
    """Judge orders of heads: the score as heads are ablated lowest first, highest first and at random, without retraining.

    An order is good if ablating its lowest heads costs little: its area is near 1, above random orders and far above the same
    order reversed. --method ranks here, and --oracle shows how good an order could be: each on one half of the sentences, judged
    on the other, and the other way round.
    """

    scores: Annotated[Many[Path], Shown("Score files, .tsv or .json, of rankings made on other sentences.")] = ()
    method: Annotated[Many[str], Shown("Importance methods to rank with here, on halves of the sentences.")] = ()
    split: AnySplitOption = "dev"
    max_pruned: Annotated[Count | None, Shown("Most heads to ablate; half of the model's heads unless given.", "K")] = None
    random_seeds: Annotated[Whole, Shown("Number of random orders; their seeds start at --seed.")] = 5
    oracle: Annotated[bool, Shown("Add the greedy oracle and every order's regret: a thousand passes; use --limit.")] = False
    candidates: Annotated[Count, Shown("Most heads that the oracle tries at each step; a large N: all.")] = 24
    normalise: NormaliseOption = "none"
    out: Annotated[Path | None, Shown("Also write curve.json, .md and .svg there; stopped work continues.", "FOLDER")] = None


@dataclass(frozen=True, kw_only=True)
class PruneRequest:
    """Remove heads from a model for good and save the rest; choose them one by one, by a mask, or by scores and a number."""

    model: ModelArgument
    out: Annotated[Path, Shown("Folder for the pruned model.", "FOLDER")]
    heads: Annotated[Many[str], Shown("Heads to prune, as 3.5,4.1.", "L.H...")] = ()
    mask: Annotated[
        Many[str], Shown("Mask JSON: heads to keep; or one for each of several languages: de=FILE ja=FILE.", "FILE...")
    ] = ()
    scores: Annotated[Path | None, Shown("Scores (.tsv, .json); with --n-pruned.")] = None
    n_pruned: Annotated[
        Whole | None,
        Shown("How many heads to prune beside those already pruned, lowest first; without --scores of a fit --nested.", "K"),
    ] = None
    min_per_layer: Annotated[Whole, Shown("Least number of heads kept in every layer.")] = 0
    normalise: NormaliseOption = "none"
    densify: Annotated[bool, Shown("Keep the full shape, with zeros for pruned heads; loads without polyhead.")] = False
    revision: RevisionOption = None
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class TrimRequest:
    """Trim a model's vocabulary to the subwords that texts of one or more languages need, and save the smaller model.

    Unless limited, every subword that occurs in the texts stays. Special tokens, bytes, digits, punctuation and single characters
    always stay. The words that are segmented otherwise, or become unknown, are counted in each language: on held-out text, or
    on every tenth line, which is then segmented by a vocabulary chosen without it.
    """

    model: ModelArgument
    out: Annotated[Path, Shown("Folder for the trimmed model.", "FOLDER")]
    text: Annotated[
        Many[str], Shown("Text by language: plain text or CoNLL-U; one language may have several.", "LANG=FILE...")
    ] = ()
    corpus: Annotated[Many[str], Shown("Corpora such as ud/de_gsd, each in its language.", "NAME...")] = ()
    data: DataOption = None
    split: Annotated[Literal["train", "dev", "test"], Shown("Split of the corpora.")] = "train"
    held_out: Annotated[Many[str], Shown("Other text to report on: LANG=FILE, or a corpus, its test split.", "REF...")] = ()
    coverage: Annotated[Share, Shown("Share of each language's subword occurrences kept, most frequent first.")] = 1.0
    min_count: Annotated[Count, Shown("Keep what occurs N times or more in one of the languages.")] = 1
    max_size: Annotated[Count | None, Shown("Keep at most N subwords, special tokens included.")] = None
    characters: Annotated[Literal["scripts", "seen"], Shown("Single characters: of the texts' scripts, or those seen.")] = (
        "scripts"
    )
    revision: RevisionOption = None
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class ProfileRequest:
    """Measure how long a batch takes on this machine, by the heads and by the neurons of a layer.

    Prints milliseconds, the shares of attention and feed-forward blocks, and how fast pruning can make the model at most. What
    was measured is kept and serves every model of this shape; polyhead shrink plans with it. Run nothing else meanwhile.
    """

    model: ModelArgument
    batch: Annotated[Count, Shown("Rows of a batch.")] = 32
    length: Annotated[Count, Shown("Subwords in a row.")] = 128
    backend: Annotated[
        Many[Literal["torch", "onnxruntime", "onnxruntime-int8"]],
        Field(min_length=1),
        Shown("One or more: torch, onnxruntime, onnxruntime-int8; the last two are exported first.", "NAME..."),
    ] = ("torch",)
    precision: Annotated[PrecisionName, Shown("Of torch; auto: bf16 on hardware for it.")] = "auto"
    check: Annotated[Whole, Shown("Also measure N random plans beside their predictions.")] = 0
    again: Annotated[bool, Shown("Measure anew instead of using what was kept.")] = False
    out: Annotated[Path | None, Shown("Also write the table, as JSON; for one backend.", "FILE.json")] = None
    seed: SeedOption = 42
    revision: RevisionOption = None
    machine: Machine
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class EvaluateRequest(TextRequest):
    """Score a tagger in one or more languages, over words (or spans), in points from 0 to 100."""

    target: TargetOption
    split: AnySplitOption = "test"


@dataclass(frozen=True, kw_only=True)
class PredictRequest(TaggerRequest):
    """Tag CoNLL-U, columns, JSON Lines, Parquet or a saved dataset: the output is the same with the tags filled in.

    The output goes to stdout or to --out, a folder to a new folder. With --json, stdout gets words and tags as one document; the
    tagged text goes to --out only.
    """

    file: Annotated[Place, Shown("Text to tag; - reads stdin.", "FILE", positional=True)] = "-"
    out: Annotated[Path | None, Shown("Write here instead of stdout.")] = None
    format: Annotated[Literal["auto", "conllu", "columns"], Shown("auto: conllu for pos without --columns, else columns.")] = (
        "auto"
    )
    scheme: SchemeOption = None
    columns: ColumnsOption = None
    language: Annotated[
        LanguageOption | None, Shown("Mask to read with, of a model with several; # lang = CODE in CoNLL-U comes first.", "CODE")
    ] = None
    language_column: Annotated[int | None, Shown("Column that names each sentence's mask; from 1, or -1 for the last.")] = None


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """Write a model as a graph that ONNX Runtime or OpenVINO runs without polyhead, with labels and tokenizer beside it.

    The graph's outputs are compared with the model's on several shapes first; one that differs by more than 1e-4 is not written.
    With --target, model and graph are also scored: what --int8 costs in each language.
    """

    model: ModelArgument
    to: Annotated[Literal["onnx", "openvino"], Shown("Kind of graph.")]
    out: Annotated[Path, Shown("New folder for the graph.", "FOLDER")]
    mask: Annotated[str | None, Shown("Of a model with several masks, the one to export; all heads unless given.")] = None
    int8: Annotated[bool, Shown("Weights in int8 (ONNX Runtime's dynamic quantisation): smaller, faster, and not exact.")] = False
    target: Annotated[Many[str], Shown("Also score on these: ud/de_gsd, ud/de_gsd@words, de=TEST or de=DEV:TEST.", "REF...")] = ()
    task: Annotated[
        TaskOption, Shown("pos, ner, slots, nli, classification or mlm, for --target; as in training unless given.")
    ] = None
    data: DataOption = None
    split: AnySplitOption = "test"
    limit: LimitOption = None
    files: Files
    seed: SeedOption = 42
    revision: RevisionOption = None
    threads: Annotated[Count | None, Shown("Processor threads; one per free core unless given.")] = None
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class CompareRequest:
    """Measure how far saved scores agree: across methods, languages and seeds, at both ends of the ranking.

    Files with the same method and languages form one group of runs (seeds). A file that does not record them, such as one from
    another tool, is a group of its own.
    """

    files: Annotated[Many[Path], Shown("Two or more score files, .tsv or .json, of one shape.", "FILES...", positional=True)]
    by: Annotated[Literal["method", "language", "file"] | None, Shown("Groups; by method and language unless given.")] = None
    k: Annotated[Count | None, Shown("Heads compared at either end; a quarter of all unless given.", "K")] = None
    combine: Annotated[
        Literal["merged", "summed", "mean-rank", "worst-case", "regret"] | None,
        Shown(
            "Combine all files into --out-scores: merged, summed, mean-rank, worst-case or regret; also for predictions.", "HOW"
        ),
    ] = None
    out_scores: Annotated[Path | None, Shown("File for the combined scores: .tsv or .json.")] = None
    normalise: NormaliseOption = "none"
    out: Annotated[Path | None, Shown("Also write compare.json, compare.md and heat maps (SVG) there.", "FOLDER")] = None
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class ReportRequest:
    """Write one page about a finished run, or about several side by side, that opens from disk and needs no network.

    It shows what pruning did and how certain that is, a map of the heads with what is known about each, how far rankings agree,
    trials, curves, cost and provenance.
    """

    runs: Annotated[Many[Path], Shown("One or more folders that polyhead run wrote.", "RUN...", positional=True)]
    out: Annotated[Path | None, Shown("The page; RUN/report.html, or report.html for several, unless given.", "PAGE.html")] = None
    curve: Annotated[Many[Path], Shown("Pruning curves to show: curve.json files of polyhead curve.")] = ()
    markdown: Annotated[Path | None, Shown("Also write the tables as Markdown.", "FILE.md")] = None
    pictures: Annotated[Path | None, Shown("Also write every chart as SVG and PNG, for papers.", "FOLDER")] = None
    no_text: Annotated[bool, Shown("Leave out example sentences, for corpora whose text may not be shared.")] = False
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class MethodsRequest:
    """List the ways of scoring heads: their cost in passes over the data, what they need, and their source."""

    json: JsonOption = False
