"""Export of a model to ONNX or OpenVINO: the graph is compared with the model before anything is written."""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Final, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from polyhead.core.arguments import PATH, require
from polyhead.core.errors import ArchitectureError, SettingError
from polyhead.core.files import new_folder, require_space
from polyhead.core.progress import Progress
from polyhead.core.settings_file import Many
from polyhead.data.sentences import Dataset
from polyhead.learning.encoding import model_limit
from polyhead.learning.inference import Labelled, evaluate
from polyhead.models.classifiers import kind_of
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.environment import versions
from polyhead.models.graphs import (
    INPUTS,
    TYPES,
    Graph,
    GraphName,
    check_exporter,
    example_inputs,
    greatest_difference,
    input_names,
    open_graph,
    quantise,
    write_graph,
)
from polyhead.models.loading import load_saved, load_tokenizer
from polyhead.models.model_heads import head_mask
from polyhead.models.named_masks import check_names, head_masks
from polyhead.models.own_file import OwnFile
from polyhead.models.pruning import prune
from polyhead.models.saving import save_tokenizer
from polyhead.models.sources import checkpoint_folder
from polyhead.studies.tagger import Tagger

MOST_DIFFERENT = 1e-4
"""Greatest difference of an output from the model's at which a graph is written."""
_SHAPES: Final = ((1, 1), (1, 8), (2, 33), (5, 16), (16, 5))
_LONG: Final = (512, 1024)  # attention takes memory by the square of the length: at 8,192 subwords gigabytes in each layer
LABELS = "labels.json"


@dataclass(frozen=True)
class GraphScore:
    """The main metric on one data set, in fractions.

    Attributes:
        data: Corpus and split, or file.
        language: BCP-47 code.
        metric: Name of the metric.
        model: Score of the model in float32.
        graph: Score of the graph.
    """

    data: str
    language: str
    metric: str
    model: float
    graph: float

    @property
    def lost(self) -> float:
        """How much less the graph scores."""
        return self.model - self.graph


@dataclass(frozen=True, kw_only=True)
class ExportRecord(OwnFile):
    """What was exported, and how well it agrees with the model; also a file in the folder.

    Attributes:
        model: Folder or hub id.
        to: Kind of graph.
        inputs: Names of the graph's inputs, int64 `[rows, length]`.
        file: The graph's file in the folder.
        int8: Whether its weights are int8.
        mask: The mask of the model that was exported; None for all heads that it has.
        masks: Names of the model's masks.
        kept_per_layer: Number of heads in each layer.
        anchor: Subword of a word that carries its label; empty if the checkpoint does not say.
        max_length: Longest window in subwords that training read; None if the checkpoint does not say.
        shapes: Rows and subwords of the batches that were compared.
        difference: Greatest difference between an output of the float32 graph and of the model.
        int8_difference: The same for the int8 graph; None without `int8`.
        scores: One per data set.
        versions: Versions of Python and of packages.
    """

    FILE: ClassVar[str] = "polyhead_export.json"
    REPAIR: ClassVar[str] = "export the model again"

    model: str
    to: GraphName
    file: str
    int8: bool
    kept_per_layer: Many[int]
    mask: str | None = None
    masks: Many[str] = ()
    anchor: str = ""
    max_length: int | None = None
    inputs: Many[str] = INPUTS
    shapes: tuple[tuple[int, int], ...] = ()
    difference: float = 0.0
    int8_difference: float | None = None
    scores: tuple[GraphScore, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


def compared_shapes(limit: int | None) -> tuple[tuple[int, int], ...]:
    """Rows and subwords of the batches that a graph is compared on, for a model that reads so many subwords, None for any number.

    >>> compared_shapes(512)
    ((1, 1), (1, 8), (2, 33), (5, 16), (16, 5), (1, 512))
    >>> compared_shapes(8192)[-2:] == compared_shapes(None)[-2:] == ((1, 512), (1, 1024))
    True
    """
    every = (*_SHAPES, *((1, length) for length in _LONG))
    return tuple(dict.fromkeys((rows, length if limit is None else min(length, limit)) for rows, length in every))


def export(
    model: Tagger | str | Path,
    folder: str | Path,
    *,
    to: GraphName = "onnx",
    mask: str | None = None,
    int8: bool = False,
    data: Dataset | Sequence[Dataset] = (),
    revision: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ExportRecord:
    """The record of a graph that ONNX Runtime or OpenVINO runs without polyhead, Transformers or torch.

    The folder gets the graph with its weights, the tokenizer's files, `labels.json` (one label per output) and the record.
    Layers may hold different numbers of heads, or none. Batch and length are free. Before anything is written the graph's
    outputs are compared with the model's in float32 on several shapes, the longest of 1,024 subwords or the model's limit; a
    difference above 1e-4 is an error. With `int8`, the
    graph is compared first and quantised then: int8 changes outputs, and `data` shows what that costs.

    Args:
        model: Folder, hub id, or a tagger, which is not changed.
        folder: New or empty, unless `overwrite`.
        to: `onnx`, or `openvino` (an IR of two files).
        mask: Name of the model's mask to prune to first; None exports all heads that the model has.
        int8: Weights in int8, activations quantised at run time (ONNX Runtime's dynamic quantisation).
        data: Labelled text to score both model and graph on. A folder or hub id has to record its task then.
        revision: Branch, tag or commit on the Hub.
        overwrite: Replace a non-empty folder, once the new one is complete.
        progress: Updated while scoring.

    Raises:
        SettingError: The model has no such mask; Transformers is older than its exporters (5.14); a package of the extra `export`
            is missing; or OpenVINO is asked for int8.
        ArchitectureError: The exporter fails, or its graph differs from the model.
        CheckpointError: The model cannot be loaded, or the folder is not empty.

    >>> from tempfile import TemporaryDirectory
    >>> from polyhead.studies.tagger import Tagger
    >>> tagger = Tagger.load("polyhead/tiny", task="pos", seed=42)
    >>> with TemporaryDirectory() as folder:  # doctest: +SKIP
    ...     export(tagger, Path(folder) / "graph").difference < 1e-4
    True
    """
    require(model=(model, Tagger | PATH), folder=(folder, PATH))
    kind = check_exporter(to)
    if int8 and to != "onnx":
        raise SettingError("int8 is for onnx, whose graphs OpenVINO reads too; leave it out, or export to onnx")
    folder, sets = Path(folder), [data] if isinstance(data, Dataset) else list(data)
    for number, one in enumerate(sets):
        require(**{f"data[{number}]": (one, Dataset)})
    if sets and not isinstance(model, Tagger):
        model = Tagger.load(model, device="cpu", precision="fp32", revision=revision)
    name = model.name if isinstance(model, Tagger) else str(model)
    plain, tokenizer, choice = _opened(model, revision)
    masks = head_masks(plain)
    if mask is not None:
        prune(plain, check_names(plain, [mask])[mask])
    kept = tuple(int(n) for n in head_mask(plain).keep.sum(axis=1))
    shapes = compared_shapes(model_limit(plain.config))
    names = input_names(plain)
    batches = [example_inputs(*shape, plain.config, names=names, seed=seed) for seed, shape in enumerate(shapes)]
    require_space(folder, sum(parameter.nbytes for parameter in plain.parameters()), "this graph")
    with new_folder(folder, overwrite=overwrite) as fresh:
        path = _within(name, lambda: write_graph(plain, fresh, to=to))
        graph = open_graph(path, to=to)
        difference = _within(name, lambda: greatest_difference(plain, graph, batches))
        if difference > MOST_DIFFERENT:
            raise ArchitectureError(
                f"{name}: the {to} graph's outputs differ from the model's by {difference:.2g}, more than {MOST_DIFFERENT:g}; "
                "nothing was written; export to another kind of graph, or report it"
            )
        int8_difference = None
        if int8:
            _within(name, lambda: quantise(path))
            graph = open_graph(path, to=to)
            int8_difference = _within(name, lambda: greatest_difference(plain, graph, batches))
        record = ExportRecord(
            model=name,
            to=to,
            file=path.name,
            int8=int8,
            mask=mask,
            masks=tuple(masks),
            kept_per_layer=kept,
            anchor=choice.anchor if choice else "",
            max_length=choice.max_length if choice else None,
            inputs=names,
            shapes=shapes,
            difference=difference,
            int8_difference=int8_difference,
            scores=_scores(cast(Tagger, model), plain, graph, sets, progress) if sets else (),
            versions=versions() | {package: version(package) for package in kind.packages},
        )
        record.write(fresh)
        _write_labels(plain, fresh)
        if tokenizer is not None:
            save_tokenizer(tokenizer, fresh)
    return record


def _within(name: str, work: Callable[[], Any]) -> Any:
    """What the work returns; its error names the model."""
    try:
        return work()
    except ArchitectureError as error:
        raise ArchitectureError(f"{name}: {error}; nothing was written") from error


def _opened(
    model: Tagger | str | Path, revision: str | None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase | None, EncodingChoice | None]:
    """The model in float32 and eval mode on the CPU, its tokenizer if it has one, and how it was trained to read."""
    if not isinstance(model, Tagger):
        has_tokenizer = (checkpoint_folder(model, revision=revision) / "tokenizer_config.json").is_file()
        tokenizer = load_tokenizer(model, revision=revision) if has_tokenizer else None
        loaded = load_saved(model, revision=revision).float().eval()
        return loaded, tokenizer, EncodingChoice.read(model, revision=revision)
    return copy.deepcopy(model.model).cpu().float().eval(), model.tokenizer, model.encoding


def _write_labels(model: PreTrainedModel, folder: Path) -> None:
    """The labels in the order of the outputs, of a model with a classifier."""
    names = dict(model.config.id2label)
    if kind_of(model) in ("tag", "sentence"):
        text = json.dumps([names[number] for number in sorted(names)], ensure_ascii=False)
        (folder / LABELS).write_text(f"{text}\n", encoding="utf-8")


class GraphClassifier(nn.Module):
    """A graph in the place of its model, for `evaluate` and `predict` with `device="cpu"` and `precision="fp32"`.

    Args:
        graph: The graph.
        inputs: Names of its inputs.
    """

    def __init__(self, graph: Graph, inputs: Sequence[str]) -> None:
        super().__init__()
        self.graph, self.inputs = graph, inputs

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> SimpleNamespace:
        """The logits `[rows, length, labels]`, or of a sentence classifier `[rows, labels]`."""
        if TYPES in self.inputs and token_type_ids is None:  # a batch without pairs
            token_type_ids = torch.zeros_like(input_ids)
        return SimpleNamespace(logits=torch.from_numpy(self.graph(input_ids, attention_mask, token_type_ids)["logits"]))


def _scores(
    tagger: Tagger, model: PreTrainedModel, graph: Graph, sets: Sequence[Dataset], progress: Progress | None
) -> tuple[GraphScore, ...]:
    """The main metric of the model and of its graph on every data set."""
    labelled: dict[str, Labelled] = {str(i): tagger.labelled(data) for i, data in enumerate(sets)}
    both = [
        evaluate(
            cast(PreTrainedModel, each), labelled, tagger.task, tagger.labels, device="cpu", precision="fp32", progress=progress
        )
        for each in (model, GraphClassifier(graph, input_names(model)))
    ]
    metric = tagger.task.metric
    return tuple(
        GraphScore(data.name, data.language, metric, *(float(found[str(i)].metrics[metric]) for found in both))
        for i, data in enumerate(sets)
    )
