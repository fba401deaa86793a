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
from polyhead.core.errors import ArchitectureError, SettingError
from polyhead.core.heads import HeadMask
from polyhead.learning.encoding import model_limit
from polyhead.models.architectures import architecture
from polyhead.models.classifiers import kind_of
from polyhead.models.devices import Precision, attention_kernel, autocast
from polyhead.models.graphs import check_exporter, example_inputs, input_names, open_graph, quantise, write_graph
from polyhead.models.model_heads import attention_sites, full_mask
from polyhead.models.pruning import remove_heads
from polyhead.models.pruning_record import drop_record
from polyhead.models.sources import quiet

GRAPHS = ("onnxruntime", "onnxruntime-int8")
_AT_REST = 0.02  # seconds in which ONNX Runtime's threads, which wait for work at full speed, give up waiting


def full_counts(model: PreTrainedModel) -> tuple[tuple[int, int], ...]:
    """Heads and neurons of every layer before pruning.

    Raises:
        ArchitectureError: Its family has no row, or its feed-forward blocks have no width of their own.
    """
    whole, name = full_mask(model), architecture(model.config).feed_forward
    neurons = getattr(model.config, name, None) if name else None
    if not isinstance(neurons, int):
        step = "polyhead cannot size its feed-forward blocks, so it has no latency table"
        raise ArchitectureError(f"{type(model).__name__}: the config names no width of feed-forward blocks; {step}")
    return ((whole.n_heads, neurons),) * whole.n_layers


def sized_model(model: PreTrainedModel, counts: Counts) -> PreTrainedModel:
    """A model of the same class and settings with these heads and neurons, layers random, everything else the given model's own.

    Speed does not depend on weights. Tensors outside the layers are shared, not copied.

    Args:
        model: In eval mode; not changed.
        counts: Heads and neurons of every layer. Heads that share a key go together.

    Raises:
        ArchitectureError: See `full_counts`.
    """
    n_heads = full_counts(model)[0][0]
    mask = HeadMask(np.arange(n_heads) < np.array([[heads] for heads, _ in counts]))
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        donors = {neurons: _empty(model, neurons) for _, neurons in counts}
        found = donors[counts[0][1]]
        for layer in range(len(counts)):
            _move_layer(layer, donors[counts[layer][1]], found)
        remove_heads(found, attention_sites(found), mask, masks={})
        _fill(found, model)
    return found.eval()


def _empty(model: PreTrainedModel, neurons: int) -> PreTrainedModel:
    """A model without weights whose layers all have these neurons."""
    config = copy.deepcopy(model.config)
    drop_record(config)
    setattr(config, architecture(config).feed_forward, neurons)
    try:
        with torch.device("meta"):
            found: PreTrainedModel = type(model)._from_config(config, dtype=model.dtype)
    except Exception as error:  # whatever a family's constructor raises
        raise ArchitectureError(f"{type(model).__name__}: cannot be built with {neurons} neurons a layer ({error})") from error
    return found


def _move_layer(layer: int, donor: PreTrainedModel, to: PreTrainedModel) -> None:
    """Replace a layer by that of another model."""
    new, old = (attention_sites(own)[layer].block for own in (donor, to))
    parent, _, name = next(path for path, module in to.named_modules() if module is old).rpartition(".")
    to.get_submodule(parent)._modules[name] = new


def _fill(model: PreTrainedModel, like: PreTrainedModel) -> None:
    """Give a model without weights those of another where both have them, and random ones where not."""
    for base, other in ((model, like), (model.base_model, like.base_model)):
        for name in [name for name, _ in base.named_children() if getattr(other, name, None) is None]:
            setattr(base, name, None)  # an encoder without its pooler
    inside = {id(module) for site in attention_sites(model) for module in site.block.modules()}
    own = {**dict(like.named_parameters(remove_duplicate=False)), **dict(like.named_buffers(remove_duplicate=False))}
    made: dict[torch.Tensor, torch.Tensor] = {}
    for path, module in model.named_modules():
        for kind in (module._parameters, module._buffers):
            for name, tensor in kind.items():
                if tensor is None or not tensor.is_meta:
                    continue
                same = own.get(f"{path}.{name}".removeprefix("."))
                is_layers = kind is module._parameters and id(module) in inside
                if same is not None and not is_layers and same.shape == tensor.shape:
                    kind[name] = same  # type: ignore[assignment]
                    continue
                if tensor not in made:
                    fresh = torch.empty(tensor.shape, dtype=tensor.dtype, device=like.device)
                    fresh = fresh.normal_(0.0, 0.02) if fresh.is_floating_point() else fresh.zero_()
                    made[tensor] = nn.Parameter(fresh, requires_grad=False) if kind is module._parameters else fresh
                kind[name] = made[tensor]  # type: ignore[assignment]


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
    return 4 * (positions * (hidden + max(4 * hidden, 2 * neurons, outputs)) + 2 * scores)


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
