"""The table of checks of a model, and the function that runs them."""

from collections.abc import Sequence
from functools import partial
from typing import get_args

import torch
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.progress import Progress, tracking
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import Task
from polyhead.doctor import differences, gating, scoring
from polyhead.doctor.finding import Check, Finding, find
from polyhead.doctor.state import state_of
from polyhead.doctor.subject import MaskKind, Subject
from polyhead.importance.methods import method as find_method
from polyhead.learning.encoded import Encoded
from polyhead.models.model_heads import head_mask

LOGITS = 1e-5
"""Largest difference of two logits: absolute if all logits are below 1, else relative to the largest."""
SCORES = 1e-4
"""Largest difference of two scores, relative to the largest score.

Float32 rounding changes gradient scores by about 1e-6, and ablation scores of an untrained model by about 1e-5; the faults found
in other tools change scores by more than 1e-2.
"""
DIFFERENCES = 1e-3
"""Largest difference between a gradient and a central difference, relative to the largest central difference."""

CHECKS: tuple[Check, ...] = (
    *(
        Check(
            f"masked = pruned: {kind}",
            "a mask does not show what pruning does: trust neither on this model; look at its row in architectures.py",
            partial(gating.masked_is_pruned, kind=kind),
            LOGITS,
        )
        for kind in get_args(MaskKind)
    ),
    Check(
        "masked = pruned: a random half of the heads and of the neurons",
        "gates of neurons do not show what pruning them does: leave neurons alone; look at its row in architectures.py",
        gating.masked_neurons_are_pruned,
        LOGITS,
    ),
    Check(
        "the mask is active in predict and evaluate",
        "scores under a mask are those of another model: curves and screened trials mean nothing; look at inference.py",
        gating.mask_reaches_predictions,
        LOGITS,
    ),
    Check(
        "a compiled model obeys the mask",
        "compiled code skips hooks: mask before you compile; look at the stance that gates.gated sets",
        gating.compiled_obeys,
        LOGITS,
    ),
    Check(
        "pruned, saved and loaded: the same logits, bit for bit",
        "a pruned checkpoint is not loaded as it was saved: keep the unpruned one; look at saving.py and loading.py",
        gating.save_and_load,
        0.0,
    ),
    Check(
        "padding does not change the logits",
        "the model reads its padding: predictions depend on the other sentences of a batch; look at the attention mask",
        gating.padding_leaves_logits,
        LOGITS,
    ),
    Check(
        "the order of heads in the weights does not change the logits",
        "the blocks taken for heads are not its heads: prune nothing; look at its row in architectures.py",
        scoring.order_leaves_logits,
        LOGITS,
    ),
    Check(
        "a dead head scores 0",
        "the score does not measure what the head writes: do not rank with this method; look at the axis it sums over",
        scoring.dead_head,
        SCORES,
    ),
    Check(
        "scores do not depend on the attention kernel",
        "sdpa or eager hides something from the method; look at what it reads inside attention",
        scoring.kernels_agree,
        SCORES,
    ),
    Check(
        "gate gradients are finite differences",
        "gradients do not predict the effect of turning a head down: rank with ablation; look at gates.py",
        differences.gradients_are_differences,
        DIFFERENCES,
    ),
    Check(
        "interrupted scoring leaves the model unchanged",
        "Ctrl-C changes the model: load it again; look for what the method does not restore",
        scoring.stopping_leaves_model,
        0.0,
    ),
    Check(
        "the text is not from a test split",
        "ranking on a test split makes results on it worthless: use dev text",
        scoring.no_test_split,
        0.0,
    ),
    Check(
        "all checks leave the model unchanged",
        "a check changes the model: load it again; look for what is not restored",
        scoring.model_unchanged,
        0.0,
    ),
)


def examine(
    model: PreTrainedModel,
    encoded: Encoded,
    *,
    labels: LabelSet,
    task: Task,
    method: str = "gradient",
    seed: int = 42,
    options: object = None,
    split: str | None = None,
    checks: Sequence[Check] = CHECKS,
    progress: Progress | None = None,
) -> tuple[Finding, ...]:
    """One finding per check, in the order of the table; an exception inside a check becomes a failure.

    Checks properties that depend on the model: masks and pruning give the same logits, masks act in prediction, checkpoints load
    bit for bit, padding and kernels change nothing, gradients are differences, and the model stays unchanged. Properties of a
    method on any model (batches, order, sentences) are covered by the library's own tests. If a method does not promise a
    property, its check is `not promised`, with the measured value.

    Costs about 4 scorings of the sample and 60 forward passes over it; 16 sentences are enough. Memory: the model twice with
    one input embedding, then its layers in float64. One check writes a pruned copy to the temporary folder. Resets torch's
    compilation cache.

    Args:
        model: A token classifier in float32, pruned or not, not compiled, on any device; unchanged if all checks pass.
        encoded: A few labelled sentences, not from a test split.
        labels: Labels of the outputs.
        task: The model's task.
        method: The importance method to check.
        seed: Random seed of the masks and of the method.
        options: The method's own, as for `score_heads`.
        split: The split that the sentences are from, if known.
        checks: Rows of `CHECKS`, all by default.
        progress: Updated after every check.

    Raises:
        UnknownNameError: No method has this name.
        SettingError: There is no labelled word, the model is not in float32, or the method refuses its settings.
        ArchitectureError: The family has no row in `ARCHITECTURES`, or the shapes of the weights contradict the config.
    """
    row = find_method(method)
    head_mask(model)
    if model.dtype != torch.float32:
        raise SettingError(f"the model is in {model.dtype}: the tolerances are for float32; load it with dtype=float32")
    if not any((window.label_ids != -100).any() for window in encoded.windows):
        raise SettingError("no sentence has a labelled word, so nothing can be scored: check the label column of the data")
    subject = Subject(
        model,
        encoded,
        task,
        labels,
        row,
        seed=seed,
        options=row.chosen(options),
        split=split,
        before=state_of(model),
    )
    try:
        _ = subject.usual
    except Exception as error:  # only settings are refused before the checks, which find all other faults
        if isinstance(error, SettingError):
            raise
    findings = []
    with tracking(progress, len(checks), "check") as advance:
        for check in checks:
            findings.append(find(check, subject))
            advance(1)
    return tuple(findings)
