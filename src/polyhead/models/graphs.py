"""Graphs for other runtimes: Transformers' own exporters write them, ONNX Runtime or OpenVINO runs them on the CPU.

The packages are those of the extra `export`. A graph takes `input_ids` and `attention_mask`, int64 `[rows, length]`, both axes of
any size, and gives what the model gives, by name. The graph of a sentence classifier whose model tells the texts of a pair apart
also takes `token_type_ids`.
"""

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.errors import ArchitectureError, SettingError, one_line
from polyhead.models.classifiers import kind_of
from polyhead.models.model_heads import attention_sites
from polyhead.models.model_neurons import neuron_sites, pruned_neurons
from polyhead.models.sources import quiet

GraphName = Literal["onnx", "openvino"]
Outputs = dict[str, NDArray[np.float32]]
INPUTS: Final = ("input_ids", "attention_mask")
TYPES: Final = "token_type_ids"
_EXTRA: Final = "pip install 'polyhead[export]'"
_FIRST: Final = (2, 9)  # rows and length of the traced example: 0 and 1 would be taken as fixed


@dataclass(frozen=True)
class GraphKind:
    """One kind of graph.

    Attributes:
        file: The graph's file.
        packages: Packages that write, check and run it.
        exporter, config: Names of the exporter and of its settings in `transformers.exporters`.
        write: Writes what the exporter made.
        session: Opens a written graph, to be run with so many threads.
    """

    file: str
    packages: tuple[str, ...]
    exporter: str
    config: str
    write: Callable[[Any, Path], None]
    session: Callable[[Path, int], Callable[[Mapping[str, NDArray[np.int64]]], Outputs]]


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph ready to run on the CPU.

    Attributes:
        path: Its file.
        session: Inputs by name to outputs by name.
    """

    path: Path
    session: Callable[[Mapping[str, NDArray[np.int64]]], Outputs]

    def __call__(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Outputs:
        """The outputs of one batch, given what `input_names` lists."""
        given = {"input_ids": input_ids, "attention_mask": attention_mask, TYPES: token_type_ids}
        return self.session({name: value.numpy() for name, value in given.items() if value is not None})


def check_exporter(to: GraphName) -> GraphKind:
    """The kind of graph, once Transformers has its exporter and all packages are there.

    Raises:
        SettingError: There is no such kind, Transformers is too old, or a package is missing.
    """
    if to not in KINDS:
        raise SettingError(f"to = {to!r}: expected one of {', '.join(KINDS)}")
    kind = KINDS[to]
    if find_spec("transformers.exporters") is None:
        raise SettingError(f"export needs the exporters of Transformers 5.14 or newer, and this is {transformers.__version__}")
    if not hasattr(importlib.import_module("transformers.exporters"), kind.exporter):
        raise SettingError(f"export to {to} needs a newer Transformers: {transformers.__version__} has no {kind.exporter}")
    if missing := [name for name in kind.packages if find_spec(name) is None]:
        raise SettingError(f"export to {to} needs {', '.join(missing)}: {_EXTRA}")
    return kind


def write_graph(model: PreTrainedModel, folder: Path, *, to: GraphName) -> Path:
    """The file of the model's graph, written into an existing folder; nothing is compared yet, see `greatest_difference`.

    Args:
        model: In float32, in eval mode and on the CPU; not changed.
        folder: Where the file goes, with a file for its weights beside it.
        to: Kind of graph.

    Raises:
        SettingError: See `check_exporter`.
        ArchitectureError: The exporter fails.
    """
    kind = check_exporter(to)
    exporters: Any = importlib.import_module("transformers.exporters")
    both, names = {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}, input_names(model)
    settings = getattr(exporters, kind.config)(dynamic=True, dynamic_shapes=dict.fromkeys(names, both))
    example = example_inputs(*_FIRST, model.config, names=names)
    with _plain_empty_layers(model), _silent():
        try:
            found = getattr(exporters, kind.exporter)().export(model, example, settings)
        except Exception as error:  # of torch.export, onnxscript, OpenVINO and others
            raise ArchitectureError(f"Transformers' {kind.exporter} cannot export the model: {one_line(error)}") from error
        kind.write(found, folder / kind.file)
    return folder / kind.file


def quantise(path: Path) -> None:
    """Replace an ONNX graph's file by one with int8 weights, whose activations are quantised as it runs (dynamic quantisation).

    Raises:
        ArchitectureError: ONNX Runtime cannot quantise it.
    """
    quantizers: Any = importlib.import_module("transformers.exporters")
    onnx_ir: Any = importlib.import_module("onnx_ir")
    try:
        with _silent():
            settings = quantizers.OnnxRuntimeDynamicConfig(per_channel=True)
            found = quantizers.OnnxRuntimeQuantizer(settings).quantize(onnx_ir.load(str(path)), {}, "onnx")
            _write_onnx(found, path)
    except Exception as error:
        raise ArchitectureError(f"ONNX Runtime cannot quantise the graph: {one_line(error)}") from error


def open_graph(path: Path, *, to: GraphName) -> Graph:
    """A written graph, run by ONNX Runtime or OpenVINO on the CPU with as many threads as torch has.

    Raises:
        ArchitectureError: The runtime refuses the graph.
    """
    try:
        with _silent():
            return Graph(path, KINDS[to].session(path, torch.get_num_threads()))
    except Exception as error:
        raise ArchitectureError(f"{to} cannot run the graph: {one_line(error)}") from error


def input_names(model: PreTrainedModel) -> tuple[str, ...]:
    """The inputs of a model's graph."""
    is_of_pairs = kind_of(model) == "sentence" and getattr(model.config, "type_vocab_size", 0) > 1
    return (*INPUTS, TYPES) if is_of_pairs and TYPES in signature(type(model).forward).parameters else INPUTS


def example_inputs(rows: int, length: int, config: Any, *, names: Sequence[str] = INPUTS, seed: int = 0) -> dict[str, Tensor]:
    """Random inputs of these names, int64 `[rows, length]`; each row but the first is padded on the right."""
    generator = torch.Generator().manual_seed(seed)
    pad = config.pad_token_id or 0
    ids = torch.randint(config.vocab_size - 1, (rows, length), generator=generator)
    ids[ids >= pad] += 1  # any id but that of padding
    mask = torch.ones_like(ids)
    for row in range(1, rows):
        end = length - row % length
        ids[row, end:], mask[row, end:] = pad, 0
    types = (torch.arange(length) >= length // 2).long() * mask
    return {name: value for name, value in (("input_ids", ids), ("attention_mask", mask), (TYPES, types)) if name in names}


def greatest_difference(model: PreTrainedModel, graph: Graph, batches: Sequence[Mapping[str, Tensor]]) -> float:
    """The greatest absolute difference between an output of the model and of its graph, except at padding.

    Args:
        model: As given to `write_graph`.
        graph: Its graph.
        batches: Inputs from `example_inputs`.

    Raises:
        ArchitectureError: The graph fails, or its outputs are not finite or lack one of the model's.
    """
    worst = 0.0
    for batch in batches:
        with torch.no_grad():
            expected = {name: value for name, value in model(**batch).items() if isinstance(value, Tensor)}
        try:
            found = graph(**batch)
        except Exception as error:
            shape = " x ".join(map(str, batch["input_ids"].shape))
            raise ArchitectureError(f"the graph fails on {shape} subwords: {one_line(error)}") from error
        for name, value in expected.items():
            if name not in found:
                raise ArchitectureError(f"the graph has no output {name}; it has {', '.join(found)}")
            difference = np.abs(found[name] - value.numpy())
            if value.shape[:2] == batch["attention_mask"].shape:
                difference = difference[batch["attention_mask"].numpy().astype(bool)]
            if not np.isfinite(difference).all():
                raise ArchitectureError(f"the graph's {name} holds NaN or infinite numbers")
            worst = max(worst, float(difference.max(initial=0.0)))
    return worst


def _onnx_session(path: Path, threads: int) -> Callable[[Mapping[str, NDArray[np.int64]]], Outputs]:
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))


def _openvino_session(path: Path, threads: int) -> Callable[[Mapping[str, NDArray[np.int64]]], Outputs]:
    runtime: Any = importlib.import_module("openvino")
    # else bfloat16 on processors that have units for it
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = runtime.Core().compile_model(str(path), "CPU", settings)
    names = [output.get_any_name() for output in compiled.outputs]
    return lambda inputs: {name: np.array(compiled(dict(inputs))[name]) for name in names}


def _write_onnx(found: Any, path: Path) -> None:
    onnx_ir: Any = importlib.import_module("onnx_ir")
    # an exported model since 5.24, an ONNXProgram before
    model = getattr(found, "program", getattr(found, "model", found))
    for node in model.graph.all_nodes():
        node.metadata_props.clear()  # stack traces, with paths of this machine
    onnx_ir.save(model, str(path), external_data=f"{path.name}.data")


def _write_openvino(found: Any, path: Path) -> None:
    importlib.import_module("openvino").save_model(getattr(found, "program", found), str(path), compress_to_fp16=False)


KINDS: Final[dict[str, GraphKind]] = {
    "onnx": GraphKind(
        file="model.onnx",
        packages=("onnx", "onnxscript", "onnxruntime"),
        exporter="OnnxExporter",
        config="OnnxConfig",
        write=_write_onnx,
        session=_onnx_session,
    ),
    "openvino": GraphKind(
        file="openvino_model.xml",
        packages=("openvino",),
        exporter="OpenVINOExporter",
        config="OpenVINOConfig",
        write=_write_openvino,
        session=_openvino_session,
    ),
}


@contextmanager
def _plain_empty_layers(model: PreTrainedModel) -> Iterator[None]:
    """A context in which the output of a layer without heads, or without neurons, is its bias, whatever comes in.

    The values are the same, and no operation on tensors without elements is left in the graph: ONNX Runtime refuses some of them
    (a Reshape after fused attention), its int8 kernels and OpenVINO compute others wrongly, without an error. `forward` is
    restored.
    """
    empty = [site.output for site in attention_sites(model) if not site.kept]
    if pruned_neurons(model) is not None:
        empty += [site.output for site in neuron_sites(model) if not site.kept]
    own = [(module, module.__dict__.get("forward")) for module in (model, *empty)]  # exporters leave one on the model
    for module in empty:

        def bias_alone(z: Tensor, module: Any = module) -> Tensor:
            bias = z.new_zeros(module.out_features) if module.bias is None else module.bias
            return bias.expand(*z.shape[:-1], module.out_features)

        module.__dict__["forward"] = bias_alone
    try:
        yield
    finally:
        for module, forward in own:
            module.__dict__.pop("forward", None)
            if forward is not None:
                module.__dict__["forward"] = forward


@contextmanager
def _silent() -> Iterator[None]:
    """A context in which exporters print and log nothing: what matters is compared afterwards."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with quiet(), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
