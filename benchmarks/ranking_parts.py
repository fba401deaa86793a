"""What a full gradient pass spends its time on, by kind of operation, from torch's profiler."""

import time
from collections import defaultdict
from collections.abc import Sequence

from torch.profiler import ProfilerActivity, profile
from transformers import PreTrainedModel

from polyhead.importance.methods import score_heads
from polyhead.learning.batching import Batch
from polyhead.models.devices import Precision

# Kinds of operations by the beginning of their names; the first that fits counts.
KINDS = {
    "matrix products": ("aten::addmm", "aten::mm", "mkldnn::", "aten::mkldnn", "aten::_addmm"),
    "attention": ("aten::bmm", "aten::baddbmm", "aten::_softmax", "aten::_scaled_dot_product", "aten::_safe", "aten::all"),
    "activation function": ("aten::gelu",),
    "layer norms": ("aten::native_layer_norm",),
    "casts and copies": ("aten::copy_", "aten::_to_copy", "aten::to", "aten::contiguous", "aten::clone", "aten::reshape"),
    "gates": ("_Scale",),
    "sums of residuals and gradients": ("aten::add", "aten::sum", "aten::mul"),
    "lookups": ("aten::embedding", "aten::index", "aten::gather"),
}


def parts(model: PreTrainedModel, batches: Sequence[Batch], precision: Precision) -> dict[str, float]:
    """Shares of a pass's time by kind; "dispatch and the rest" is what no operation's own time accounts for."""
    started = time.perf_counter()
    with profile(activities=[ProfilerActivity.CPU]) as watched:
        score_heads("gradient", model, batches, precision=precision)
    whole = 1e6 * (time.perf_counter() - started)
    found: defaultdict[str, float] = defaultdict(float)
    for event in watched.key_averages():
        kind = next((kind for kind, names in KINDS.items() if event.key.startswith(names)), "dispatch and the rest")
        found[kind] += event.self_cpu_time_total
    known = sum(time for kind, time in found.items() if kind != "dispatch and the rest")
    # the profiler's own cost falls outside of operations: shares are of the time that it attributed
    attributed = min(whole, sum(found.values()))
    shares = {kind: found[kind] / attributed for kind in KINDS}
    return {**shares, "dispatch and the rest": 1 - known / attributed}
