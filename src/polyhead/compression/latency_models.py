"""Models of a given model's shape with other numbers of heads and neurons, and one forward pass of a model on a backend."""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from polyhead.compression.latency_table import Backend, Counts
from polyhead.core.errors import ArchitectureError, SettingError, one_line
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask, Plan
from polyhead.learning.encoding import model_limit
from polyhead.models.classifiers import kind_of
from polyhead.models.devices import Precision, attention_kernel, autocast
from polyhead.models.graphs import check_exporter, example_inputs, input_names, open_graph, quantise, write_graph
from polyhead.models.model_heads import full_mask, head_mask
from polyhead.models.model_neurons import full_neurons, neuron_mask
from polyhead.models.pruning import prune_to_record
from polyhead.models.pruning_record import drop_record, write_record
from polyhead.models.sources import quiet

GRAPHS = ("onnxruntime", "onnxruntime-int8")
_AT_REST = 0.02  # seconds in which ONNX Runtime's threads, which wait for work at full speed, give up waiting


def full_counts(model: PreTrainedModel) -> tuple[tuple[int, int], ...]:
    """Heads and neurons of every layer before pruning.

    Raises:
        ArchitectureError: Its family has no row, or the row does not say where its neurons are.
    """
    return Plan(full_mask(model), full_neurons(model)).counts


def kept_counts(model: PreTrainedModel) -> tuple[tuple[int, int], ...]:
    """Heads and neurons of every layer of a model as it is.

    Raises:
        ArchitectureError, CheckpointError: As `neuron_mask`.
    """
    return Plan(head_mask(model), neuron_mask(model)).counts


def sized_model(model: PreTrainedModel, counts: Counts) -> PreTrainedModel:
    """A model of the same class and settings with these heads and neurons, in eval mode.

    Its tensors are the given model's own where their shapes agree, shared and not copied, else random: speed does not depend on
    them.

    Args:
        model: Not changed.
        counts: Heads and neurons of every layer. Heads that share a key are taken together.

    Raises:
        ArchitectureError: As `full_counts`, or Transformers cannot build it.
    """
    (n_heads, n_neurons), sizes = full_counts(model)[0], np.array(counts)
    heads, neurons = HeadMask(np.arange(n_heads) < sizes[:, :1]), NeuronMask(np.arange(n_neurons) < sizes[:, 1:])
    config = copy.deepcopy(model.config)
    drop_record(config)
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        try:
            with torch.device("meta"):
                found: PreTrainedModel = type(model)._from_config(config, dtype=model.dtype)
        except Exception as error:  # whatever a family's constructor raises
            raise ArchitectureError(f"{type(model).__name__}: cannot be built anew ({one_line(error)})") from error
        for base, other in ((found, model), (found.base_model, model.base_model)):
            for name in [name for name, _ in base.named_children() if getattr(other, name, None) is None]:
                setattr(base, name, None)  # an encoder without its pooler
        prune_to_record(found, write_record(heads, neurons=neurons), folder="")
        _fill(found, model)
    return found.eval()


def _fill(model: PreTrainedModel, like: PreTrainedModel) -> None:
    """Give a model without weights those of another where the shapes agree, and random ones where not."""
    own = {**dict(like.named_parameters(remove_duplicate=False)), **dict(like.named_buffers(remove_duplicate=False))}
    made: dict[torch.Tensor, torch.Tensor] = {}  # tied tensors stay tied
    for path, module in model.named_modules():
        for kind in (module._parameters, module._buffers):
            for name, tensor in kind.items():
                if tensor is None or not tensor.is_meta:
                    continue
                same = own.get(f"{path}.{name}".removeprefix("."))
                if same is None or same.shape != tensor.shape:
                    same = made.setdefault(tensor, _random(tensor, like.device))
                kind[name] = same  # type: ignore[assignment]


def _random(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    found = torch.zeros(tensor.shape, dtype=tensor.dtype, device=device)
    if found.is_floating_point():
        found.normal_(0.0, 0.02)
    return nn.Parameter(found, requires_grad=False) if isinstance(tensor, nn.Parameter) else found


def check_backend(backend: Backend) -> None:
    """Refuse a backend whose packages are missing.

    Raises:
        SettingError: With what to install.
    """
    if backend in GRAPHS:
        check_exporter("onnx")


def check_fits(model: PreTrainedModel, *, batch: int, length: int, free: int | None) -> None:
    """Refuse, before anything is allocated, a batch that a model cannot take.

    Args:
        model: The model.
        batch: Rows.
        length: Subwords in a row.
        free: Bytes of free memory on its device; None if it is not known.

    Raises:
        SettingError: Fewer than one row, a length that the positions do not reach, or not enough memory.
    """
    if batch < 1 or length < 1:
        name, value = ("batch", batch) if batch < 1 else ("length", length)
        raise SettingError(f"{name} = {value}: should be at least 1")
    if (limit := model_limit(model.config)) is not None and length > limit:
        raise SettingError(f"length = {length}: this model reads at most {limit} subwords")
    needed = batch_bytes(model, batch=batch, length=length)
    if free is not None and needed > free:
        sizes = f"one batch needs about {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free"
        raise SettingError(f"batch = {batch}: with {length} subwords in a row {sizes}; give fewer rows, or a shorter length")


def batch_bytes(model: PreTrainedModel, *, batch: int, length: int) -> int:
    """About the bytes that a forward pass of this many rows and subwords holds at once beside the weights; a lower estimate."""
    config, (heads, neurons) = model.config, full_counts(model)[0]
    hidden, positions = config.hidden_size, batch * length
    scores = batch * heads * length**2 if getattr(config, "_attn_implementation", "") == "eager" else 0
    outputs = config.vocab_size if kind_of(model) == "masked" else 0
    return int(4 * (positions * (hidden + max(4 * hidden, 2 * neurons, outputs)) + 2 * scores))


def free_bytes(device: torch.device) -> int | None:
    """Free memory of a device in bytes; None where the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")), None)


@contextmanager
def opened(
    model: PreTrainedModel, *, batch: int, length: int, backend: Backend, precision: Precision
) -> Iterator[Callable[[], object]]:
    """A context with one forward pass of the model to call, on a random batch whose rows after the first are padded.

    Args:
        model: In eval mode, on its device; for a graph in float32 on the CPU.
        batch: Rows.
        length: Subwords in a row.
        backend: `torch`, or ONNX Runtime, for which the model is exported first.
        precision: Of torch's matrix products.

    Raises:
        ArchitectureError: The model cannot be exported.
    """
    inputs = example_inputs(batch, length, model.config, names=input_names(model))
    if backend in GRAPHS:
        with TemporaryDirectory() as folder:
            path = write_graph(model, Path(folder), to="onnx")
            if backend == "onnxruntime-int8":
                quantise(path)
            graph = open_graph(path, to="onnx")
            yield lambda: graph(**inputs)
        return
    device = model.device
    here = {name: value.to(device) for name, value in inputs.items()}

    def run() -> None:
        with torch.inference_mode(), autocast(device, precision), attention_kernel(device, length, precision, work="predict"):
            model(**here)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    yield run


def pause_of(backend: Backend) -> Callable[[], None]:
    """What to do before a timed pass."""
    return (lambda: time.sleep(_AT_REST)) if backend in GRAPHS else (lambda: None)
