"""Fine-tuning: one seeded loop, optionally under a mask, that can stop and continue at any step."""

import logging
import math
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from transformers import PreTrainedModel

from polyhead.core.arguments import require
from polyhead.core.errors import SettingError
from polyhead.core.files import require_space
from polyhead.core.heads import HeadMask
from polyhead.core.progress import Progress, tracking
from polyhead.core.specs import TrainSpec
from polyhead.core.values import fingerprint, plain
from polyhead.learning.batching import Batch, scoring_batches, training_batches
from polyhead.learning.encoded import Encoded
from polyhead.learning.fast_dropout import cheap_dropout
from polyhead.learning.nested import NestedMasks, step_loss
from polyhead.learning.optimiser import build_optimiser, rate_factor
from polyhead.learning.resumable import hash_of, kept_at
from polyhead.learning.scoring_mode import restored
from polyhead.learning.seen_embeddings import seen_rows
from polyhead.learning.teaching import Teacher
from polyhead.learning.training_state import Position, StopRequest, TrainingState, stop_requests
from polyhead.models.devices import Precision, attention_kernel, autocast, check_dtype, placement
from polyhead.models.gates import gated

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitRecord:
    """Facts about a finished fine-tuning.

    Attributes:
        steps: Optimiser steps, including those before a resumption.
        epochs: Passes over the data.
        seconds: Wall-clock time, including that of earlier calls up to their last saved state.
        losses: Mean batch loss per epoch.
        resumed_at: The step at which this call continued; 0 if it started from scratch.
        seconds_before: The part of `seconds` spent in earlier calls.
        precision: Of matrix products; evaluate in the same.
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
    mask: HeadMask | NestedMasks | None = None,
    teacher: Teacher | None = None,
    device: torch.device | str | None = None,
    resume_file: Path | None = None,
    progress: Progress | None = None,
) -> FitRecord:
    """The record of fine-tuning `model` on `encoded`, in place: `spec.epochs` forward and backward passes over the data.

    With a teacher each step also takes one forward pass of the teacher, without gradient, over the sentences that it teaches.

    AdamW with linear warm-up and decay, gradients clipped by norm. The loss is the mean cross-entropy over a batch's labelled
    words. Weights, moments and loss are float32; matrix products run in bf16 where `spec` and the device allow. Data order and
    dropout follow from `spec.seed`, global generators are not changed, and the caller initialises the classifier. On a CPU the
    same call gives the same numbers for the same number of threads.

    Args:
        model: A token classifier with one output per label; moved to `device`, its mode is restored.
        encoded: The training sentences; those without a labelled word also count in a batch.
        spec: How to train.
        mask: Heads not kept are gated to zero throughout; with nested masks or plans each sentence is read under one of them,
            drawn from `spec.seed` and the step.
        teacher: Whose predictions of the same sentences to learn from, and how much; its model is moved to `device`.
        device: Where to compute; default: the model's device.
        resume_file: File for the state (saved about every 45 s, and at SIGINT or SIGTERM, which raise KeyboardInterrupt). If it
            exists, training continues from it to bit-identical results. It stays after training: a second call then returns the
            same weights at once.
        progress: Updated after every step.

    Raises:
        SettingError: There is nothing to train on, the device is missing, or training diverged: it stops at the first non-finite
            loss, gradient or weight, before saving it.
        StoreError: `resume_file` cannot be written, does not fit on the disk, or belongs to other work.
        KeyboardInterrupt: The process was asked to stop; the state is saved and the model is trained up to that step.

    >>> import polyhead as ph
    >>> train = ph.sample(ph.open_corpus("phrases/en", "train"), 32, seed=1)
    >>> labels, tokenizer = ph.label_set(ph.task("pos"), [train]), ph.load_tokenizer("polyhead/tiny")
    >>> model = ph.load_tagger("polyhead/tiny", labels=labels, seed=42)
    >>> fit(model, ph.encode(train.sentences, tokenizer, labels), TrainSpec(epochs=2)).steps
    4
    """
    require(model=(model, nn.Module), encoded=(encoded, Encoded), spec=(spec, TrainSpec), resume_file=(resume_file, Path | None))
    require(mask=(mask, HeadMask | NestedMasks | None), teacher=(teacher, Teacher | None))
    where, precision = placement(model, device=device, precision=spec.precision)

    def batches_of(epoch: int) -> list[Batch]:
        return training_batches(encoded, batch_size=spec.batch_size, order=spec.order, seed=spec.seed, epoch=epoch)

    nested = mask if isinstance(mask, NestedMasks) else None
    steps = len(batches_of(0))
    if not steps:
        raise SettingError("nothing to train on: no sentence has a word; give at least one labelled sentence")
    total, rate = steps * spec.epochs, spec.rate_for(model.config.hidden_size)
    started = time.perf_counter()
    model.to(where)
    check_dtype(model, where, precision)
    if teacher is not None and teacher.model is not None:
        teacher.model.to(where)
        check_dtype(teacher.model, where, precision)
    store = None
    if resume_file is not None:
        facts = {
            "settings": plain(spec),
            "mask": plain(mask) if nested is None else fingerprint(nested),
            "precision": precision,
            **({} if teacher is None else {"teacher": _identity(teacher)}),
        }
        store = TrainingState(kept_at(resume_file, model, scoring_batches(encoded), facts))
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
        if isinstance(mask, HeadMask):
            stack.enter_context(gated(model, mask))
        stack.enter_context(restored(model))
        if teacher is not None and teacher.model is not None:
            stack.enter_context(restored(teacher.model))
        stack.enter_context(torch.random.fork_rng())
        model.train()
        if "embeddings" in spec.freeze:  # if none of them needs a gradient, backward ends at the lowest layer
            getattr(model.base_model, "embeddings", model.get_input_embeddings()).requires_grad_(False)
        stack.enter_context(seen_rows(model, _ids(encoded), decay=decay_so_far))
        bits = stack.enter_context(cheap_dropout(model))
        stop = stack.enter_context(stop_requests(resume_file)) if resume_file else StopRequest()
        advance = stack.enter_context(tracking(progress, total, "fit"))
        trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        optimiser = build_optimiser(trained.values(), spec, rate=rate)
        if store and resume_file is not None:
            at = first = store.load(trained, optimiser)
            # weights and two moments; the old state stays until the new one is complete
            n_bytes = 2 * 3 * sum(parameter.nbytes for parameter in trained.values())
            if at.step < total:
                require_space(resume_file, n_bytes // (2 if at.step else 1), "the state for continuing after a stop")
        advance(at.step)
        for epoch in range(at.step // steps, spec.epochs):
            for batch in batches_of(epoch)[at.step % steps :]:
                bits.start(spec.seed, at.step)
                # for attention dropout, and for all dropout off the CPU; well mixed: torch's CPU generator reads only 32 bits
                torch.manual_seed(int(np.random.SeedSequence((spec.seed, at.step)).generate_state(1)[0]))
                for group in optimiser.param_groups:
                    group["lr"] = rate_at(at.step)
                step_started = time.perf_counter()
                length = batch.input_ids.shape[1]
                here = batch.to(where)
                with ExitStack() as step:
                    with attention_kernel(where, length, precision, work="fit"), autocast(where, precision):
                        work = step_loss(model, here, nested, seed=spec.seed, step=at.step, teacher=teacher)
                        loss = step.enter_context(work)
                    loss.backward()
                norm = clip_grad_norm_(trained.values(), spec.clip)
                if not math.isfinite(float(loss.detach())) or not math.isfinite(float(norm)):
                    raise diverged("loss or gradient", at.step)
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)
                at = _advanced(at, float(loss.detach()), steps)
                pace(time.perf_counter() - step_started, batch.n_positions)
                n_sentences += len(batch.sentences)
                advance(1)
                if store and (stop.asked or at.step == total or store.is_due()):
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


def _identity(teacher: Teacher) -> dict[str, object]:
    """What decides the teacher's predictions."""
    weights = "itself" if teacher.model is None else hash_of(teacher.model.state_dict().items())[:16]
    return {"weight": float(teacher.weight), "subwords": teacher.subwords, "model": weights}


def _finite(weights: Iterable[Tensor]) -> bool:
    return all(bool(weight.isfinite().all()) for weight in weights)


_STEPS = 10


def slowdown() -> Callable[[float, int], None]:
    """A function of each step's seconds and positions; it warns once if steps become ten times slower than the first ones."""
    paces: list[float] = []
    warned = False

    def after_step(seconds: float, positions: int) -> None:
        nonlocal warned
        paces.append(seconds / positions)
        if not warned and len(paces) >= 2 * _STEPS and median(paces[-_STEPS:]) > 10 * median(paces[:_STEPS]):
            warned = True
            _LOG.warning("steps take ten times as long as the first ones: other work is using the cores; try --threads 1")

    return after_step


def _advanced(at: Position, loss: float, steps: int) -> Position:
    """The next position; losses are averaged at the end of an epoch."""
    summed = at.epoch_loss + loss
    if (at.step + 1) % steps:
        return Position(at.step + 1, at.losses, summed)
    return Position(at.step + 1, (*at.losses, summed / steps), 0.0)


def _ids(encoded: Encoded) -> Tensor:
    """All ids in the training data and the padding id."""
    return torch.from_numpy(np.unique(np.concatenate([[encoded.pad_id], *(window.input_ids for window in encoded.windows)])))
