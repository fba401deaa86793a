"""The steps of shrinking before the judgement on dev: the search, a correction by measured time, and the finished model."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from polyhead.compression.latency import time_models
from polyhead.compression.plan_choice import least_cost
from polyhead.compression.plan_repair import pruned_to
from polyhead.compression.plan_search import Goal, Round, Scorer, search_plan
from polyhead.core.errors import ArchitectureError
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask, Plan
from polyhead.core.progress import Progress
from polyhead.core.values import decimal_number
from polyhead.data.sampling import sample
from polyhead.data.sentences import Dataset
from polyhead.learning.batching import scoring_batches
from polyhead.learning.resumable import Partial, kept_at
from polyhead.studies.plan_rounds import kept_rounds, plan_scorer
from polyhead.studies.shrink_spec import ShrinkSpec
from polyhead.studies.shrink_state import rounds_of, rounds_state
from polyhead.studies.shrink_trained import next_trained, trained_plans, trained_rounds
from polyhead.studies.shrink_work import ShrinkWork
from polyhead.studies.tagger import Tagger

TOO_SLOW: Final = 1.05
"""Measured milliseconds over those asked for above which a speed is missed."""
_CORRECTED: Final = 1.03  # above which a plan is pruned further: the final measurement differs a little from those before
_CORRECTIONS = 2
_TRIED = 4  # sentences
_AFTER = ("max_loss", "repair", "distil")  # settings that no round depends on


def check_repair(tagger: Tagger, start: Plan, data: Dataset, spec: ShrinkSpec) -> None:
    """Return if such a model can be repaired, or nothing is to be: tried with little pruned, before anything that takes long.

    Raises:
        ArchitectureError: It cannot.
    """
    heads, neurons = start.heads.keep.copy(), start.neurons.keep.copy()
    if "heads" in spec.parts:
        heads[:, : start.heads.group] = False
    if "neurons" in spec.parts:
        neurons[:, 0] = False
    plan = Plan(HeadMask(heads, start.heads.group), NeuronMask(neurons))
    if plan == start or spec.repair == "none":
        return
    batches = scoring_batches(tagger.encode(sample(data, _TRIED, seed=spec.seed)))
    try:
        pruned_to(tagger.model, plan, batches, how=spec.repair, precision=tagger.precision)
    except ArchitectureError as error:
        raise ArchitectureError(f"{tagger.name}: repair {spec.repair}: {error}; with repair none it can be shrunk") from error


def searched(work: ShrinkWork, file: Path | None, progress: Progress | None) -> tuple[Round, ...]:
    """The rounds towards all goals; finished ones are kept in the file. A model trained under plans takes those instead.

    Raises:
        OutOfReachError: No plan meets a goal.
        StoreError: The file belongs to other work, or cannot be written.
    """
    if (plans := trained_plans(work)) is not None:
        return trained_rounds(work, plans)
    row = work.spec.row
    return kept_rounds(
        work.start,
        work.goals,
        scorer(work, progress),
        partial=_rounds_file(work, file),
        spread=row.spread,
        rounds=row.rounds or work.spec.rounds,
        parts=work.spec.parts,
    )


def _rounds_file(work: ShrinkWork, file: Path | None) -> Partial:
    settings = {name: value for name, value in asdict(work.spec).items() if name not in _AFTER}
    batches = [batch for own in work.scored.values() for batch in own]
    return kept_at(file, work.tagger.model, batches, {"work": "shrink", "settings": settings})


def scorer(work: ShrinkWork, progress: Progress | None) -> Scorer:
    """Scores what a plan keeps, in a copy of the model."""
    row, tagger = work.spec.row, work.tagger
    return plan_scorer(
        tagger.model,
        work.scored,
        method=row.method,
        protect=row.protect or work.spec.protect,
        precision=tagger.precision,
        seed=work.spec.seed,
        progress=progress,
    )


def corrected(
    work: ShrinkWork, rounds: tuple[Round, ...], progress: Progress | None, file: Path | None = None
) -> tuple[Round, ...]:
    """The rounds towards a speed, and one or two more where their last plan is measured to be too slow; kept in the file.

    The budget falls by the factor that the plan is too slow, as far as plans go. Measured times differ from call to call, so what
    an earlier call settled on stays.
    """
    partial = _rounds_file(work, file)
    if (state := partial.load()) and state.get("corrected"):
        return rounds_of(state, group=work.start.heads.group)
    goal, spec, found = work.goals[0], work.spec, rounds
    for _ in range(_CORRECTIONS):
        plan = found[-1].plan if found else work.start
        before, after = compared_ms(work.given, _pruned(work, plan), spec)
        wanted = wanted_ms(work, before)
        if after <= _CORRECTED * wanted:
            break
        budget = max(goal.costs.of(plan.counts) * wanted / after, least_cost(plan, goal.costs, spec.parts))
        found = (*found, *_further(work, plan, replace(goal, budget=budget), progress))
    if found:
        partial.save({**rounds_state(found), "corrected": True})
    return found


def _further(work: ShrinkWork, plan: Plan, goal: Goal, progress: Progress | None) -> tuple[Round, ...]:
    """The round that leads from a plan to a smaller one, if there is one."""
    if (plans := trained_plans(work)) is not None:
        return next_trained(work, plans, plan, goal)
    return search_plan(plan, [goal], scorer(work, progress), spread=work.spec.row.spread, rounds=1, parts=work.spec.parts)


def wanted_ms(work: ShrinkWork, before: float) -> float:
    """The milliseconds asked for, of a machine on which the given model takes `before`."""
    return work.goals[0].budget if work.spec.speedup is None else before / work.spec.speedup


def missed_speed(work: ShrinkWork, before: float, after: float) -> str:
    """What is missing of the speed asked for in the finished model as it was measured; empty if it is fast enough."""
    if after <= TOO_SLOW * wanted_ms(work, before):
        return ""
    return f"{wanted(work.spec)}: measured {before / after:.2f} times as fast ({after:.3g} ms), so the speed gives way"


def _pruned(work: ShrinkWork, plan: Plan) -> Tagger:
    """The model pruned to a plan, without repair."""
    return replace(work.tagger, model=pruned_to(work.tagger.model, plan, [], how="none"))


def finished(work: ShrinkWork, plan: Plan, progress: Progress | None) -> Tagger:
    """The model pruned to a plan and repaired, unless it was trained under it; a copy."""
    batches = [batch for own in work.scored.values() for batch in own]
    how = "none" if plan == work.start or trained_plans(work) is not None else work.spec.repair
    precision = work.tagger.precision
    small = pruned_to(work.tagger.model, plan, batches, how=how, precision=precision, progress=progress)
    return replace(work.tagger, model=small)


def wanted(spec: ShrinkSpec) -> str:
    """What was asked for, in words.

    >>> wanted(ShrinkSpec(speedup=2.0, size="60MB")), wanted(ShrinkSpec(size=0.35))
    ('2 times as fast and 60MB', '0.35 of the size')
    """
    parts = []
    if spec.speedup is not None:
        parts.append(f"{spec.speedup:g} times as fast")
    if spec.latency is not None:
        parts.append(str(spec.latency))
    if spec.size is not None:
        is_share = decimal_number(str(spec.size)) is not None
        parts.append(f"{spec.size} of the size" if is_share else str(spec.size))
    return " and ".join(parts)


def compared_ms(given: Tagger, small: Tagger, spec: ShrinkSpec) -> tuple[float, float]:
    """Milliseconds of a forward pass of both models, which run in turn.

    Raises:
        SettingError: The batch does not fit, or is longer than the model reads.
    """
    models = [given.model, small.model]
    before, after = time_models(models, batch=spec.batch, length=spec.length, precision=given.precision)
    return before, after
