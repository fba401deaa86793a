"""The rounds of a search for plans: what scores a plan, and finished rounds that a stopped search continues from."""

import copy
from collections.abc import Mapping, Sequence

from transformers import PreTrainedModel

from polyhead.compression.plan_choice import PARTS, Importance, Part, Spread
from polyhead.compression.plan_search import (
    ROUNDS,
    Goal,
    Protect,
    Round,
    Scorer,
    combined,
    search_plan,
)
from polyhead.core.neurons import Plan
from polyhead.core.progress import Progress
from polyhead.importance.neurons import score_plan
from polyhead.learning.batching import Batch
from polyhead.learning.resumable import Partial, saving
from polyhead.models.devices import PrecisionChoice
from polyhead.models.pruning import prune
from polyhead.studies.shrink_state import rounds_of, rounds_state


def plan_scorer(
    model: PreTrainedModel,
    scored: Mapping[str, Sequence[Batch]],
    *,
    method: str,
    protect: Protect,
    precision: PrecisionChoice,
    seed: int,
    progress: Progress | None,
) -> Scorer:
    """Scores what a plan keeps, in a copy of the model that is pruned further with every plan.

    Args:
        model: Not changed.
        scored: Labelled sentences by language.
        method: Importance method of heads and neurons.
        protect: How the scores of several languages are combined.
        precision: Of matrix products.
        seed: Of random scores.
        progress: Updated as the work advances.
    """
    own = copy.deepcopy(model)

    def score(plan: Plan) -> Importance:
        prune(own, plan.heads, neurons=plan.neurons)
        found: dict[str, Importance] = {}
        for language, batches in scored.items():
            scores = score_plan(method, own, batches, precision=precision, seed=seed, progress=progress)
            found[language] = Importance(scores.heads.values, scores.neurons)
        return combined(found, protect)

    return score


def kept_rounds(
    start: Plan,
    goals: Sequence[Goal],
    score: Scorer,
    *,
    partial: Partial,
    spread: Spread = "joint",
    rounds: int = ROUNDS,
    rescore: int = 1,
    parts: Sequence[Part] = PARTS,
) -> tuple[Round, ...]:
    """The rounds of `search_plan`; finished ones are kept in a file.

    Args:
        start: What the model keeps now.
        goals: What to meet.
        score: Scores what a plan keeps.
        partial: The file.
        spread: How to choose among what was scored.
        rounds: Rounds per goal.
        rescore: Rounds that one set of scores serves. Their plans are nested like all others, and cost no pass.
        parts: What may be pruned.

    Raises:
        SettingError: No plan meets a goal.
        StoreError: The file belongs to other work, or cannot be written.
    """
    found: list[Round] = list(rounds_of(partial.load(), group=start.heads.group))
    with saving(partial, lambda: rounds_state(found)) as step:

        def ended(so_far: Sequence[Round]) -> None:
            found[:] = so_far
            step()

        def scores(plan: Plan) -> Importance:
            return found[-1].scores if len(found) % rescore else score(plan)

        return search_plan(start, goals, scores, spread=spread, rounds=rounds, parts=parts, done=tuple(found), ended=ended)
