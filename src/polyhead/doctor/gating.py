"""Checks of masks, pruning and checkpoints: all of them compare logits."""

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.errors import ArchitectureError
from polyhead.core.heads import HeadMask
from polyhead.doctor.finding import Measured, largest, unchecked
from polyhead.doctor.subject import Kernel, MaskKind, Subject, copied, kernels, logits_apart, text_logits, under_kernel
from polyhead.learning import inference
from polyhead.learning.batching import collate

# Called through their modules, so that the checks run what other callers run.
from polyhead.models import gates, loading, pruning, saving
from polyhead.models.model_heads import head_mask
from polyhead.models.model_neurons import has_neurons

_HALF: MaskKind = "a random half of the heads"


def masked_is_pruned(subject: Subject, kind: MaskKind) -> Measured:
    """Logits under a mask against those of a pruned copy; the worst over all attention kernels."""
    mask, batches = subject.mask(kind), subject.batches
    values = {}
    for kernel in kernels(subject.model):
        model = under_kernel(subject.model, kernel)
        with gates.gated(model, mask):
            masked = text_logits(model, batches)
        values[kernel] = logits_apart(masked, text_logits(pruning.prune(copied(model), mask), batches))
    worst = largest(values)
    return Measured(values[worst], f"worst under {worst}" if len(values) > 1 else f"under {worst} only")


def masked_neurons_are_pruned(subject: Subject) -> Measured:
    """Logits with a random half of the heads and of the neurons masked against those of a copy pruned of both."""
    if not has_neurons(subject.model.config):
        return unchecked("the row of its family does not say where the neurons are")
    model, mask, neurons, batches = subject.model, subject.mask(_HALF), subject.half_the_neurons(), subject.batches
    with gates.gated(model, mask, neurons=neurons):
        masked = text_logits(model, batches)
    return Measured(logits_apart(masked, text_logits(pruning.prune(copied(model), mask, neurons=neurons), batches)))


def mask_reaches_predictions(subject: Subject) -> Measured:
    """Logits inside `predict` and `evaluate` with a mask against those of a pruned copy."""
    if not head_mask(subject.model).n_kept:
        return unchecked("the model has no heads left")
    model, mask = copied(subject.model), subject.mask(_HALF)
    # the scores do not matter here, so any gold labels will do
    gold = [[subject.labels.names[0]] * n for n in subject.encoded.words_per_sentence]
    sample = {"sample": inference.Labelled(subject.encoded, gold)}

    def predicting(model: PreTrainedModel, mask: HeadMask | None = None) -> Tensor:
        work = partial(inference.predict, model, subject.encoded, labels=subject.labels, precision="fp32", mask=mask)
        return _logits_inside(model, work)

    evaluate = partial(inference.evaluate, model, sample, subject.task, subject.labels, precision="fp32", mask=mask)
    plain, expected = predicting(model), predicting(pruning.prune(copied(model), mask))
    found = {"predict": predicting(model, mask), "evaluate": _logits_inside(model, evaluate)}
    apart = {name: logits_apart(logits, expected) for name, logits in found.items()}
    ignored = [name for name, logits in found.items() if torch.equal(logits, plain)]
    return Measured(
        apart[largest(apart)], f"the mask changes nothing in {' and '.join(ignored)}" if ignored else "", ok=not ignored
    )


def _logits_inside(model: PreTrainedModel, work: Callable[[], object]) -> Tensor:
    seen: list[Tensor] = []
    with model.register_forward_hook(lambda module, args, output: seen.append(output.logits.flatten())):
        work()
    return torch.cat(seen)


def compiled_obeys(subject: Subject) -> Measured:
    """Logits under a mask of a model that was compiled before, against those of a pruned copy; refusing the mask passes too.

    Uses the compiler's `eager` backend, which traces and guards like any other and needs no C compiler. Resets the compilation
    cache, because torch stops compiling a function after a few models.
    """
    torch.compiler.reset()
    mask, batches = subject.mask(_HALF), subject.in_file_order(1)[:1]
    compiled = torch.compile(copied(subject.model), backend="eager")
    text_logits(compiled, batches)
    try:
        with gates.gated(compiled, mask):
            masked = text_logits(compiled, batches)
    except ArchitectureError as refusal:
        return Measured(0.0, f"refused: {refusal}")
    return Measured(logits_apart(masked, text_logits(pruning.prune(copied(subject.model), mask), batches)))


def save_and_load(subject: Subject) -> Measured:
    """Logits of a pruned copy before saving and after loading; they must be equal bit for bit."""
    pruned = pruning.prune(copied(subject.model), subject.mask(_HALF))
    kernel: Kernel = "eager" if pruned.config._attn_implementation == "eager" else "sdpa"
    expected = text_logits(under_kernel(pruned, kernel), subject.batches)
    with TemporaryDirectory(prefix="polyhead-doctor-") as folder:
        path = saving.save_pruned(pruned, Path(folder) / "model")
        loaded = loading.load_tagger(path, labels=None, kernel=kernel, kind=subject.task.kind).to(pruned.device)
        # a copy, because some matrix products depend on where in memory a file's tensors begin
        found = text_logits(copy.deepcopy(loaded), subject.batches)
    return Measured(logits_apart(found, expected), ok=torch.equal(found, expected))


def padding_leaves_logits(subject: Subject) -> Measured:
    """Logits of every window in its own batch, without padding or mask, against all windows in one batch with extra padding."""
    alone = [collate([[window]], pad_id=subject.encoded.pad_id) for window in subject.encoded.windows]
    padded = subject.in_file_order(subject.encoded.n_sentences, pad_to=subject.padded_length)
    return Measured(logits_apart(text_logits(subject.model, padded), text_logits(subject.model, alone)))
