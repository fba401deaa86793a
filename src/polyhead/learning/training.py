"""Fine-tuning: one seeded loop, under a mask if one is given, that can be stopped at any moment and gone on with."""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import AdamW
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.files import require_space
from polyhead.core.heads import HeadMask
from polyhead.core.progress import Progress, Silent
from polyhead.core.specs import TrainSpec
from polyhead.core.values import fingerprint
from polyhead.learning.batching import Batch, training_batches
from polyhead.learning.encoding import IGNORED_LABEL, Encoded
from polyhead.learning.fast_dropout import cheap_dropout
from polyhead.learning.resumable import Array, kept_at
from polyhead.learning.seen_embeddings import seen_rows
from polyhead.learning.training_state import Position, StopRequest, TrainingState, stop_requests
from polyhead.models.devices import Precision, attention_kernel, autocast, check_dtype, placement
from polyhead.models.gates import gated

_LOG = logging.getLogger(__name__)


def rate_factor(step: int, *, total: int, warmup: float) -> float:
    """The share of the peak learning rate at 0-based `step` of `total`: linear up over the warm-up, then linear down.

    No step has rate 0: the first is 1 / warm-up steps, the last 1 / remaining steps.

    >>> [round(rate_factor(step, total=6, warmup=0.34), 2) for step in range(6)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    rising = round(warmup * total)
    return (step + 1) / rising if step < rising else (total - step) / (total - rising)


def build_optimiser(parameters: Iterable[nn.Parameter], spec: TrainSpec, *, rate: float) -> AdamW:
    """AdamW with betas (0.9, 0.999), in one fused kernel; weight decay on matrices alone, not on biases and norms."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": spec.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return AdamW([group for group in groups if group["params"]], lr=rate, betas=(0.9, 0.999), fused=True)


def set_rate(optimiser: AdamW, rate: float) -> None:
    """Make `rate` the learning rate of the next step."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def clip_gradients(parameters: Sequence[nn.Parameter], limit: float) -> Tensor:
    """The gradients' norm before they are scaled, in place, to one of at most `limit`."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    # on a CPU reading the norm costs nothing, and a factor of one need not be multiplied
    if norm.device.type != "cpu" or norm > limit:
        torch.nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return norm


@dataclass(frozen=True)
class FitRecord:
    """What a fine-tuning left besides the weights.

    Attributes:
        steps: Optimiser steps, those before a resumption included.
        epochs: Passes over the data.
        seconds: Wall-clock time, that of earlier calls up to the state they left included.
        losses: Mean of the batches' losses, per epoch.
        resumed_at: The step this call went on from; 0 if it began at the beginning.
        seconds_before: What of `seconds` went by in earlier calls.
        precision: What the matrix products ran in; evaluate in the same.
        sentences_per_second: Throughput of this call; 0 if nothing was left to do.
    """

    steps: int
    epochs: int
    seconds: float
    losses: tuple[float, ...]
    resumed_at: int
    seconds_before: float
    precision: Precision
    sentences_per_second: float


def fit(
    model: PreTrainedModel,
    encoded: Encoded,
    spec: TrainSpec,
    *,
    mask: HeadMask | None = None,
    device: torch.device | str | None = None,
    resume_file: Path | None = None,
    save_every: int | None = None,
    progress: Progress | None = None,
) -> FitRecord:
    """The record of fine-tuning `model` on `encoded`, in place: `spec.epochs` forward and backward passes over the data.

    AdamW with linear warm-up and decay, gradients clipped by their norm; the loss is the mean cross entropy over a batch's
    labelled words, so words weigh equally. Weights, moments and loss are float32; matrix products run in bf16 where `spec` and
    the device say so. Order and dropout follow from `spec.seed` (global generators are left as they were); the classifier's
    start is the caller's affair. On a CPU the same call gives the same numbers, for the same number of threads.

    Args:
        model: A token classifier with a row of outputs for each label; moved to `device` and left in the mode it was in.
        encoded: The training sentences; those without any labelled word still count in a batch.
        spec: How to train.
        mask: Heads not kept are gated to zero throughout.
        device: Where to compute; where the model is by default.
        resume_file: Where to keep what it takes to continue after a stop (about every 45 s, and at SIGINT or SIGTERM, which end
            as KeyboardInterrupt). If a state lies there, the training continues from it, to the same numbers bit for bit. A
            finished training's state stays: call again for the same weights at once, or remove the file.
        save_every: Steps between two savings, instead of the time.
        progress: Told of every step.

    Raises:
        SettingError: There is nothing to train on, a setting asks for what is not there, or the training diverged: it ends at
            the first loss, gradient or weight that is not finite, before that is stored.
        StoreError: `resume_file` cannot be written or will not fit on the disk, or holds other work.
        KeyboardInterrupt: The process was asked to stop; the state is saved and the model holds what was reached.

    >>> import polyhead as ph
    >>> train = ph.sample(ph.open_corpus("phrases/en", "train"), 32, seed=1)
    >>> labels, tokenizer = ph.label_set(ph.task("pos"), [train]), ph.load_tokenizer("polyhead/tiny")
    >>> model = ph.load_tagger("polyhead/tiny", labels=labels, seed=42)
    >>> fit(model, ph.encode(train.sentences, tokenizer, labels), TrainSpec(epochs=2)).steps
    4
    """
    where, precision = placement(model, device=device, precision=spec.precision)
    epochs = [_batches(encoded, spec, epoch=epoch) for epoch in range(spec.epochs)]
    steps = len(epochs[0])
    if not steps:
        raise SettingError("nothing to train on: no sentence has a word; give at least one labelled sentence")
    total, rate = steps * spec.epochs, spec.rate_for(model.config.hidden_size)
    started = time.perf_counter()
    watch = progress or Silent()
    model.to(where)
    check_dtype(model, where, precision)
    store = None
    if resume_file is not None:
        pruned = "none" if mask is None else fingerprint(mask.keep)
        facts = {"settings": fingerprint(spec), "mask": pruned, "precision": precision}
        store = TrainingState(kept_at(resume_file, model, _arrays(encoded), facts), every=save_every)
    at = first = Position()
    n_sentences = 0
    pace = slowdown()

    def rate_at(step: int) -> float:
        return rate * rate_factor(step, total=total, warmup=spec.warmup)

    def decay_so_far() -> float:
        return math.prod(1 - rate_at(step) * spec.weight_decay for step in range(at.step))

    def diverged(what: str, step: int) -> SettingError:
        kept = f"; the last good state is in {resume_file}" if resume_file is not None and resume_file.exists() else ""
        better = min(rate / 10, replace(spec, learning_rate=None).rate_for(model.config.hidden_size))
        other = " or precision fp32" if precision == "bf16" else ""
        return SettingError(
            f"training diverged: {what} not finite at step {step + 1} of {total}, learning rate {rate_at(step):.3g} (peak "
            f"{rate:.3g}); try learning rate {better:.3g}{other}{kept}"
        )

    with ExitStack() as stack:
        stack.enter_context(gated(model, mask) if mask is not None else nullcontext())
        stack.enter_context(_training_mode(model, freeze=spec.freeze))
        stack.enter_context(seen_rows(model, _ids(encoded), decay=decay_so_far))
        bits = stack.enter_context(cheap_dropout(model))
        stop = stack.enter_context(stop_requests()) if store else StopRequest()
        stack.callback(watch.stop)
        trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        optimiser = build_optimiser(trained.values(), spec, rate=rate)
        if store and resume_file is not None:
            at = first = store.load(trained, optimiser)
            # weights and two moments; the state before is there until the new one is whole
            n_bytes = 2 * 3 * sum(parameter.nbytes for parameter in trained.values())
            if at.step < total:
                require_space(resume_file, n_bytes // (2 if at.step else 1), "what it takes to continue after a stop")
        watch.start(total, "fit")
        watch.advance(at.step)
        for batches in epochs[at.step // steps :]:
            for batch in batches[at.step % steps :]:
                bits.start(spec.seed, at.step)
                torch.manual_seed(_step_seed(spec.seed, at.step))  # for attention's dropout, and all of it on other devices
                set_rate(optimiser, rate_at(at.step))
                step_started = time.perf_counter()
                length = batch.input_ids.shape[1]
                with attention_kernel(where, length, precision, work="fit"), autocast(where, precision):
                    loss = word_loss(model, batch.to(where))
                loss.backward()
                norm = clip_gradients(list(trained.values()), spec.clip)
                if not math.isfinite(float(loss.detach())) or not math.isfinite(float(norm)):
                    raise diverged("loss or gradient", at.step)
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)
                at = _advanced(at, float(loss.detach()), steps)
                pace(time.perf_counter() - step_started, batch.n_positions)
                n_sentences += len(batch.sentences)
                watch.advance(1)
                if store and (stop.asked or at.step == total or store.is_due(at.step)):
                    if not _finite(trained.values()):
                        raise diverged("weights", at.step - 1)
                    store.save(replace(at, seconds=first.seconds + time.perf_counter() - started), trained, optimiser)
                if stop.asked:
                    raise KeyboardInterrupt
    if not _finite(model.parameters()):
        raise diverged("weights", total - 1)
    seconds = time.perf_counter() - started
    before = first.seconds
    return FitRecord(total, spec.epochs, before + seconds, at.losses, first.step, before, precision, n_sentences / seconds)


def _finite(weights: Iterable[Tensor]) -> bool:
    return all(bool(weight.isfinite().all()) for weight in weights)


_STEPS = 10


def slowdown() -> Callable[[float, int], None]:
    """A function to be told seconds and positions of each step; it warns once if steps become ten times slower than at first."""
    first: list[float] = []
    last: deque[float] = deque(maxlen=_STEPS)
    said = False

    def told(seconds: float, positions: int) -> None:
        nonlocal said
        if len(first) < _STEPS:
            first.append(seconds / positions)
            return
        last.append(seconds / positions)
        if not said and len(last) == _STEPS and median(last) > 10 * median(first):
            said = True
            _LOG.warning("steps take ten times as long as the first ones: other work has taken the cores; try --threads 1")

    return told


def _batches(encoded: Encoded, spec: TrainSpec, *, epoch: int) -> Sequence[Batch]:
    return training_batches(encoded, batch_size=spec.batch_size, order=spec.order, seed=spec.seed, epoch=epoch)


def _step_seed(seed: int, step: int) -> int:
    """A well-mixed 32-bit seed: torch's CPU generator reads no more bits than these."""
    return int(np.random.SeedSequence((seed, step)).generate_state(1)[0])


def _advanced(at: Position, loss: float, steps: int) -> Position:
    """The position one step on; an epoch's losses are averaged when it ends."""
    summed = at.epoch_loss + loss
    if (at.step + 1) % steps:
        return Position(at.step + 1, at.losses, summed)
    return Position(at.step + 1, (*at.losses, summed / steps), 0.0)


def _arrays(encoded: Encoded) -> Iterator[tuple[str, Array]]:
    for window in encoded.windows:
        for name in ("input_ids", "anchor_positions", "anchor_words", "label_ids"):
            yield f"{window.sentence} {name}", getattr(window, name)


def _ids(encoded: Encoded) -> Tensor:
    """All ids that the training can meet."""
    return torch.from_numpy(np.unique(np.concatenate([[encoded.pad_id], *(window.input_ids for window in encoded.windows)])))


def word_loss(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Mean cross entropy over the batch's labelled words, float32; zero if it has none."""
    logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits.float()  # [rows, length, labels]
    total = cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED_LABEL, reduction="sum")
    return total / (batch.labels != IGNORED_LABEL).sum().clamp(min=1)


@contextmanager
def _training_mode(model: PreTrainedModel, *, freeze: Sequence[str]) -> Iterator[None]:
    """Inside, the model is in training mode, parts named in `freeze` have no gradients, and torch's generators may be seeded."""
    frozen: list[nn.Parameter] = []
    if "embeddings" in freeze:
        # without a gradient in any of them, backward ends at the lowest layer
        embeddings = getattr(model.base_model, "embeddings", model.get_input_embeddings())
        frozen = [parameter for parameter in embeddings.parameters() if parameter.requires_grad]
    was_training = model.training
    try:
        for parameter in frozen:
            parameter.requires_grad_(False)
        model.train()
        with torch.random.fork_rng():
            yield
    finally:
        model.train(was_training)
        for parameter in frozen:
            parameter.requires_grad_(True)
