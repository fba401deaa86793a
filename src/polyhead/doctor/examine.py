"""Does the library keep its promises on this very model and text? The table of checks, and the one call that runs them."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.progress import Progress, Silent
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import Task
from polyhead.doctor import differences, gating, scoring
from polyhead.doctor.finding import Check, Finding, find
from polyhead.doctor.state import state_of
from polyhead.doctor.subject import Cut, Subject
from polyhead.importance.methods import method as find_method
from polyhead.learning.encoding import Encoded
from polyhead.models.architectures import head_mask

LOGITS = 1e-5
"""Largest difference of two logits, absolute up to logits of 1, and relative to the largest logit beyond."""
SCORES = 1e-4
"""Largest difference of two scores, relative to the largest score.

Float32 leaves about 1e-6 of gradients, and 1e-5 of the small differences of losses that ablation takes on a model that has learnt
nothing; the faults that were found in other tools change scores by more than 1e-2.
"""
DIFFERENCES = 1e-3
"""Largest difference of a gradient and a central difference, relative to the largest difference."""

_MASK = "a mask does not show what pruning does: trust neither on this model; look at its row in architectures.py"


def _masked(kind: Cut) -> Check[Subject]:
    return Check(f"masked = pruned: {kind}", _MASK, lambda subject: gating.masked_is_pruned(subject, kind), LOGITS)


CHECKS: tuple[Check[Subject], ...] = (
    _masked("nothing"),
    _masked("one head"),
    _masked("all heads of a layer"),
    _masked("all heads of a layer but one"),
    _masked("every head"),
    _masked("a random half of the heads"),
    Check(
        "the mask is active in predict and evaluate",
        "figures under a mask are those of another model: curves and screened trials mean nothing; look at inference.py",
        gating.mask_reaches_predictions,
        LOGITS,
    ),
    Check(
        "a compiled model obeys the mask",
        "hooks are skipped by compiled code: mask before you compile; look at the stance that gates.gated sets",
        gating.compiled_obeys,
        LOGITS,
    ),
    Check(
        "pruned, saved and loaded: the same logits, bit for bit",
        "a pruned checkpoint does not come back as it was saved: keep the unpruned one; look at checkpoint.py",
        gating.save_and_load,
        0.0,
    ),
    Check(
        "padding leaves the logits of words alone",
        "the model reads its padding: predictions depend on what a sentence is batched with; look at the attention mask",
        gating.padding_leaves_logits,
        LOGITS,
    ),
    Check(
        "the order of heads in the weights leaves the logits alone",
        "the blocks taken for heads are not its heads: prune nothing; look at its row in architectures.py",
        scoring.order_leaves_logits,
        LOGITS,
    ),
    Check(
        "a dead head scores 0",
        "what is scored is not what the head writes: do not rank with this method; look at the axis it sums over",
        scoring.dead_head,
        SCORES,
    ),
    Check(
        "scores do not depend on the attention kernel",
        "one of sdpa and eager hides something from the method; look at what it reads inside attention",
        scoring.kernels_agree,
        SCORES,
    ),
    Check(
        "gate gradients are finite differences",
        "gradients do not say what turning a head down does: rank with ablation meanwhile; look at gates.py",
        differences.gradients_are_differences,
        DIFFERENCES,
    ),
    Check(
        "scoring that is stopped leaves the model as it was",
        "after Ctrl-C the model is not what it was: load it anew; look for what the method does not put back",
        scoring.stopping_leaves_model,
        0.0,
    ),
    Check(
        "the text is no test split",
        "scores that saw a test split make its figures worthless: take dev text",
        scoring.no_test_split,
        0.0,
    ),
    Check(
        "all of this leaves the model as it was",
        "something here changes the model that it looks at: load it anew; look for what is not put back",
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
    checks: Sequence[Check[Subject]] = CHECKS,
    progress: Progress | None = None,
) -> tuple[Finding, ...]:
    """What each check says of the model, in the order of the table; nothing a check does raises.

    These are promises that depend on the model: a mask and pruning give the same logits, a mask counts in prediction, a
    checkpoint comes back bit for bit, padding and the kernel change nothing, gradients are differences, and the model is left
    as it was. What a method promises whatever the model (of batches, order, sentences) is for the library's own tests. A check
    that needs more than the method promises says `not promised`, with what was measured.

    Costs about as much as scoring the sample 4 times and 60 forward passes over it, so it should be small: 16 sentences will do.
    Memory: the model twice, its input embedding once; then its layers in float64. One check writes a pruned copy to the
    temporary folder. What this process has compiled is dropped.

    Args:
        model: A token classifier in float32, pruned or not, not compiled, on the device of choice; left as it was if all is well.
        encoded: Some labelled sentences, never of a test split.
        labels: What the outputs mean.
        task: What the model does.
        method: The importance method that is held to its promises.
        seed: Of the heads that masks leave out, and of the method.
        options: The method's own, as for `score_heads`.
        split: Of which split the sentences are, where that is known.
        checks: Rows of `CHECKS`, all by default.
        progress: Told of every check.

    Raises:
        UnknownNameError: No method has this name.
        SettingError: No labelled word, the model is not in float32, or the method refuses its settings.
        ArchitectureError: The family has no row in `ARCHITECTURES`, or the weights are not of the shape that the config records.
    """
    find_method(method)
    head_mask(model)
    if model.dtype != torch.float32:
        raise SettingError(f"the model is in {model.dtype}: what may differ is laid down for float32; load it with dtype=float32")
    if not any((window.label_ids != -100).any() for window in encoded.windows):
        raise SettingError("no sentence has a labelled word, so nothing can be scored: check the label column of the data")
    subject = Subject(
        model,
        encoded,
        task,
        labels,
        method,
        seed=seed,
        options=find_method(method).chosen(options),
        split=split,
        before=state_of(model),
    )
    _refuse_settings(subject)
    watch = progress or Silent()
    watch.start(len(checks), "check")
    findings = []
    try:
        for check in checks:
            findings.append(find(check, subject))
            watch.advance(1)
    finally:
        watch.stop()
    return tuple(findings)


def _refuse_settings(subject: Subject) -> None:
    """Let the method refuse its settings before any check; whatever else is wrong in it is for the checks to find."""
    try:
        _ = subject.usual
    except SettingError:
        raise
    except Exception:
        return
