"""Unfinished shrinking: its files, and the rounds of a search and the verdicts on plans as arrays for them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from polyhead.compression.plan_choice import Importance
from polyhead.compression.plan_search import Round
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask, Plan
from polyhead.studies.distillation import state_files
from polyhead.studies.shrunk import LanguageLoss, Losses


class KeptFiles(NamedTuple):
    """The files in which a shrinking keeps what it has worked out; each is missing until there is something to keep."""

    rounds: Path
    verdicts: Path
    training: Path
    steps: Path


def kept_files(resume_file: Path) -> KeptFiles:
    """The files of a shrinking with this `resume_file`, side by side.

    >>> [path.name for path in kept_files(Path("fast.partial"))]
    ['fast.partial', 'fast.partial.judged', 'fast.partial.distil', 'fast.partial.steps']
    """
    return KeptFiles(resume_file, resume_file.with_name(f"{resume_file.name}.judged"), *state_files(resume_file))


def rounds_state(rounds: Sequence[Round]) -> dict[str, Any]:
    """The rounds as arrays and plain values, for `learning.resumable`; `rounds_of` reads them back."""
    return {
        "goals": [one.goal for one in rounds],
        "budgets": np.array([one.budget for one in rounds]),
        "heads": np.stack([one.plan.heads.keep for one in rounds]),
        "neurons": np.stack([one.plan.neurons.keep for one in rounds]),
        "head_scores": np.stack([one.scores.heads for one in rounds]),
        "neuron_scores": np.stack([one.scores.neurons for one in rounds]),
    }


def rounds_of(state: Mapping[str, Any] | None, *, group: int) -> tuple[Round, ...]:
    """The rounds of a stored state; none without one.

    Args:
        state: From `rounds_state`.
        group: Heads of the model that share a key.
    """
    if not state:
        return ()
    names = ("goals", "budgets", "heads", "neurons", "head_scores", "neuron_scores")
    return tuple(
        Round(int(goal), float(budget), Importance(*scores), Plan(HeadMask(heads, group), NeuronMask(neurons)))
        for goal, budget, heads, neurons, *scores in zip(*(state[name] for name in names), strict=True)
    )


@dataclass(frozen=True)
class Verdict:
    """What the languages lose by a plan.

    Attributes:
        plan: What was kept.
        taught: Whether the finished model was distilled.
        losses: What each language loses.
    """

    plan: Plan
    taught: bool
    losses: Losses


def verdicts_state(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The verdicts as arrays and plain values, for `learning.resumable`; `verdicts_of` reads them back."""
    return {
        "heads": np.stack([one.plan.heads.keep for one in verdicts]),
        "neurons": np.stack([one.plan.neurons.keep for one in verdicts]),
        "taught": [one.taught for one in verdicts],
        "losses": [[asdict(own) for own in one.losses] for one in verdicts],
    }


def verdicts_of(state: Mapping[str, Any] | None, *, group: int) -> tuple[Verdict, ...]:
    """The verdicts of a stored state; none without one.

    Args:
        state: From `verdicts_state`.
        group: Heads of the model that share a key.
    """
    if not state:
        return ()
    return tuple(
        Verdict(Plan(HeadMask(heads, group), NeuronMask(neurons)), taught, tuple(LanguageLoss(**own) for own in losses))
        for heads, neurons, taught, losses in zip(
            *(state[name] for name in ("heads", "neurons", "taught", "losses")), strict=True
        )
    )
