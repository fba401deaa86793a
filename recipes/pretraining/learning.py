"""Masked language modelling, step by step; a stopped training continues to the same numbers."""

import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from pretraining.examples import MaskedBatch, batches
from pretraining.settings import TrainingSpec
from pretraining.subwords import Corpus
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW
from transformers import XLMRobertaForMaskedLM

from polyhead.core.progress import Progress
from polyhead.core.values import fingerprint
from polyhead.learning.optimiser import rate_factor
from polyhead.learning.resumable import Partial
from polyhead.learning.training_state import Position, TrainingState, stop_requests
from polyhead.models.devices import Precision, autocast
from polyhead.models.environment import machine

SHOWN = 50  # steps per mean of the loss curve


def learn(
    model: XLMRobertaForMaskedLM,
    corpus: Corpus,
    spec: TrainingSpec,
    *,
    positions: int,
    precision: Precision,
    resume_file: Path,
    progress: Progress,
) -> tuple[float, ...]:
    """Train in place; the mean loss (nats per predicted subword) of every 50 steps. Continues from `resume_file` if it exists."""
    device = next(model.parameters()).device
    trained = dict(model.named_parameters())
    optimiser = _optimiser(model, spec)
    identity = {
        "settings": fingerprint(asdict(spec)),
        "text": fingerprint([corpus.subwords, corpus.groups]),
        "precision": precision,
    }
    identity["model"] = fingerprint(model.config.to_diff_dict() | {"positions": positions})
    state = TrainingState(Partial(resume_file, identity, machine(device)))
    position = state.load(trained, optimiser)
    began = time.perf_counter() - position.seconds
    model.train()
    progress.start(spec.steps, "pretrain")
    progress.advance(position.step)
    losses, since = list(position.losses), position.epoch_loss
    try:
        with stop_requests(resume_file) as stop:
            made = batches(corpus, spec, positions=positions, start=position.step)
            for step in range(position.step, spec.steps):
                # makes dropout depend only on seed and step
                torch.manual_seed(int(np.random.default_rng((spec.seed, 2, step)).integers(2**62)))
                for group in optimiser.param_groups:
                    group["lr"] = spec.learning_rate * rate_factor(step, total=spec.steps, warmup=spec.warmup)
                since += _step(model, next(made), optimiser, precision, spec.max_grad_norm)
                if (step + 1) % SHOWN == 0:
                    losses, since = [*losses, since / SHOWN], 0.0
                if stop.asked or step + 1 == spec.steps or state.is_due():
                    state.save(Position(step + 1, tuple(losses), since, time.perf_counter() - began), trained, optimiser)
                if stop.asked:
                    raise KeyboardInterrupt
                progress.advance(1)
    finally:
        progress.stop()
    model.eval()
    return tuple(losses)


def _step(model: XLMRobertaForMaskedLM, batch: MaskedBatch, optimiser: AdamW, precision: Precision, limit: float) -> float:
    device = next(model.parameters()).device
    predicted = batch.labels != -100
    with autocast(device, precision):
        hidden = model.roberta(
            input_ids=batch.input_ids.to(device),
            attention_mask=batch.attention_mask.to(device),
            position_ids=batch.position_ids.to(device),
        ).last_hidden_state
        # the vocabulary is scored only where a subword is predicted
        logits = model.lm_head(hidden[predicted.to(device)])
    loss = cross_entropy(logits.float(), batch.labels[predicted].to(device))
    loss.backward()
    clip_grad_norm_(model.parameters(), limit)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return float(loss.detach())


def _optimiser(model: XLMRobertaForMaskedLM, spec: TrainingSpec) -> AdamW:
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": spec.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=spec.learning_rate, betas=(0.9, 0.98), fused=True)
