"""How many heads to prune: a search over k with few fine-tunings."""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from polyhead.core.errors import SettingError
from polyhead.core.specs import allowed_loss

SearchHow = Literal["sequential", "sweep", "screened"]
# baselines of the searches, see `benchmarks/trial_baselines.py`
BaselineHow = Literal["zero", "even", "random"]

# most fine-tunings of a screened search, including k = 0
MOST_SCREENED = 5

# points: the second of the two drops that `screened` looks for
SCREEN_POINTS = 2.0

# scores are ratios of counts in points: differences below this are rounding
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Trial:
    """One fine-tuning: `k` heads pruned, and its dev score in points (0..100)."""

    k: int
    score: float


@dataclass(frozen=True)
class TrialTable:
    """The trials of a search and its choice.

    Attributes:
        trials: In search order, k = 0 first, including known ones.
        chosen: The k that the objective picks.
        how: The search or baseline.
        objective: `best` or `within:X`.
        max_pruned: Largest k considered.
        reason: Why these k were tried and this one was chosen.
        screen: Masked score in points for k = 0..max_pruned, without retraining; None if the search needs none.
        standard_error: Standard error of the masked score at k = 0, in points; None if the search needs none.
    """

    trials: tuple[Trial, ...]
    chosen: int
    how: SearchHow | BaselineHow
    objective: str
    max_pruned: int
    reason: str
    screen: tuple[float, ...] | None = None
    standard_error: float | None = None

    @property
    def scores(self) -> dict[int, float]:
        """Dev score of every k tried, in points."""
        return {trial.k: trial.score for trial in self.trials}


@dataclass
class _Screening:
    """The screening's results, filled in by the plan."""

    scores: tuple[float, ...] | None = None
    standard_error: float | None = None


_Plan = Generator[int, float, str]


def search(
    score_at: Callable[[int], float],
    *,
    max_pruned: int,
    how: SearchHow = "screened",
    objective: str = "best",
    screen: Callable[[], Sequence[float]] | None = None,
    standard_error: float | Callable[[], float] | None = None,
    delta: float = 0.0,
    known: Mapping[int, float] | None = None,
    include_zero: bool = True,
) -> TrialTable:
    """The trials run and the k chosen; k = 0 always runs first.

    `sweep` tries every k in 0..max_pruned. `sequential` tries k = 1, 2, … and stops at the first score more than `delta` below
    the best so far (for `within:X`: more than the larger of `delta` and X), or at max_pruned. `screened` fine-tunes at most five
    times. After k = 0 it calls `screen` and finds two k: the largest whose masked score is within one standard error of the one
    at 0, and the largest within 2 points. It tries, in rising order and without duplicates, both of them, the midpoint between 0
    and the smaller, and the midpoint between the two (rounded down). It stops at a trial more than two standard errors below the
    bar (`best`: the best score so far; `within:X`: the score at k = 0 minus X), because more heads would only lose more.
    Otherwise, while the objective would choose the last and largest k, it tries the midpoint (rounded up) between that k and
    max_pruned, until five trials are spent or max_pruned is tried.

    Args:
        score_at: Fine-tunes with k heads pruned and returns the dev score in points (0..100). Costs one trial.
        max_pruned: Largest k, K.
        how: The search.
        objective: `best`: highest score, ties to the larger k. `within:X`: the largest k at most X points below k = 0.
        screen: Returns the score in points for every k in 0..K with masks on the fine-tuned full model. Called at most once,
            after k = 0. Only for `screened`.
        standard_error: Standard error of the score at k = 0, in points, or a function that returns it. Only for `screened`.
        delta: See `sequential`.
        known: Scores of finished trials, which are not run again.
        include_zero: False runs k = 0 for comparison but never chooses it, as in the paper (best of k = 1..12).

    Raises:
        SettingError: A setting is missing or out of range, or a score is not finite.

    >>> table = search(lambda k: 90 - (k - 2) ** 2, max_pruned=4, how="sweep")
    >>> table.chosen, len(table.trials)
    (2, 5)
    """
    loss = allowed_loss(objective)
    if max_pruned < (0 if include_zero else 1):
        raise SettingError(f"max_pruned = {max_pruned}: should be at least {0 if include_zero else 1}")
    screening = _Screening()
    if how == "sweep":
        plan = _sweep(max_pruned)
    elif how == "sequential":
        plan = _sequential(max_pruned, max(delta, loss or 0.0), include_zero=include_zero)
    elif how == "screened":
        if screen is None or standard_error is None:
            raise SettingError(
                "search 'screened' needs the masked scores and their standard error: use 'sequential' without them"
            )
        plan = _screened(max_pruned, screen, standard_error, screening, loss, include_zero=include_zero)
    else:
        raise SettingError(f"search {how!r}: expected sequential, sweep or screened")
    trials, tried = _drive(plan, score_at, known or {})
    chosen, why = choose(trials, loss, include_zero=include_zero)
    return TrialTable(
        trials, chosen, how, objective, max_pruned, _reason(max_pruned, tried, why), screening.scores, screening.standard_error
    )


def regret(table: TrialTable, sweep: Mapping[int, float]) -> float:
    """Points by which the best k of a full sweep beats the chosen one on the same development sentences."""
    return max(sweep.values()) - sweep[table.chosen]


def _reason(max_pruned: int, tried: str, why: str) -> str:
    return f"{tried}; {why}" if max_pruned else "k = 0 was the only one allowed (max_pruned = 0), so no other was tried"


def _drive(plan: _Plan, score_at: Callable[[int], float], known: Mapping[int, float]) -> tuple[tuple[Trial, ...], str]:
    """Run the trials that the plan asks for, until it returns its reason."""
    trials: list[Trial] = []
    try:
        k = next(plan)
        while True:
            score = float(known[k] if k in known else score_at(k))
            if not math.isfinite(score):
                raise SettingError(f"the trial with {k} heads pruned scored {score}: expected points in 0..100")
            trials.append(Trial(k, score))
            k = plan.send(score)
    except StopIteration as stop:
        return tuple(trials), str(stop.value)


def _sweep(max_pruned: int) -> _Plan:
    for k in range(max_pruned + 1):
        _ = yield k
    return f"tried every k from 0 to {max_pruned}"


def _sequential(max_pruned: int, tolerance: float, *, include_zero: bool) -> _Plan:
    zero = yield 0
    best = zero if include_zero else -math.inf
    for k in range(1, max_pruned + 1):
        score = yield k
        if score < best - tolerance - _ROUNDING:
            return f"stopped at k = {k}: {best - score:.2f} points below the best so far, allowed are {tolerance:g}"
        best = max(best, score)
    return f"went up to the largest k, {max_pruned}"


def _screened(
    max_pruned: int,
    screen: Callable[[], Sequence[float]],
    standard_error: float | Callable[[], float],
    screening: _Screening,
    loss: float | None,
    *,
    include_zero: bool,
) -> _Plan:
    trials = [Trial(0, (yield 0))]
    masked = tuple(float(score) for score in screen())
    error = float(standard_error() if callable(standard_error) else standard_error)
    if len(masked) != max_pruned + 1 or not all(map(math.isfinite, masked)):
        raise SettingError(f"the screening gave {len(masked)} scores: expected a number for each k in 0..{max_pruned}")
    if not (math.isfinite(error) and error >= 0):
        raise SettingError(f"standard_error = {error}: should be a number of points, 0 or more")
    screening.scores, screening.standard_error = masked, error
    queue, why = _candidates(masked, error, include_zero=include_zero)
    while queue:
        k = queue.pop(0)
        trials.append(Trial(k, (yield k)))
        best = max(trial.score for trial in trials if trial.k or include_zero)
        bar = best if loss is None else trials[0].score - loss
        if (below := bar - trials[-1].score) > 2 * error + _ROUNDING:
            bar_is = "the best so far" if loss is None else "the lowest score allowed"
            return f"{why}; stopped at k = {k}: {below:.2f} points below {bar_is}, more than two standard errors"
        if not queue and len(trials) < MOST_SCREENED and choose(trials, loss, include_zero=include_zero)[0] == k < max_pruned:
            queue = [(k + max_pruned + 1) // 2]
            why += f"; k = {k} was still the one to choose, so k = {queue[0]} was tried"
    return why


def _candidates(masked: Sequence[float], error: float, *, include_zero: bool) -> tuple[list[int], str]:
    """The k to try after k = 0, in rising order, and why."""
    within = [
        max(k for k, score in enumerate(masked) if score >= masked[0] - drop - _ROUNDING) for drop in (error, SCREEN_POINTS)
    ]
    low, high = sorted(within)
    candidates = {low // 2, low, (low + high) // 2, high} - {0}
    if not (candidates or include_zero):
        candidates = {max(range(1, len(masked)), key=lambda k: (masked[k], k))}
    return sorted(candidates), (
        f"with heads only masked in the unpruned model the dev score stays within one standard error ({error:.2f} points) up "
        f"to k = {within[0]} and within {SCREEN_POINTS:g} points up to k = {within[1]}"
    )


def choose(trials: Sequence[Trial], loss: float | None, *, include_zero: bool = True) -> tuple[int, str]:
    """The k that an objective picks among trials, and why.

    Args:
        trials: k = 0 first, the others in any order.
        loss: Points that may be lost against k = 0 (`within:X`), or None (`best`); see `allowed_loss`.
        include_zero: Whether k = 0 may be picked if there is another.
    """
    zero = trials[0].score
    if len(trials) == 1:
        return 0, f"k = 0 is the only one tried ({zero:.2f})"
    open_to = [trial for trial in trials if trial.k > 0 or include_zero]
    if loss is not None:
        enough = [trial for trial in open_to if trial.score >= zero - loss - _ROUNDING]
        if enough:
            chosen = max(enough, key=lambda trial: trial.k)
            return (
                chosen.k,
                f"k = {chosen.k} is the largest tried that loses at most {loss:g} points ({zero:.2f} to {chosen.score:.2f})",
            )
    chosen = max(open_to, key=lambda trial: (trial.score, trial.k))
    beside = f"; k = 0: {zero:.2f}" if chosen.k else ""
    return chosen.k, f"k = {chosen.k} scores highest ({chosen.score:.2f}{beside})"
