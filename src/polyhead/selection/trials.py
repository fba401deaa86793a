"""How many heads to prune: a search over k that spends as few fine-tunings as it can."""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from polyhead.core.errors import SettingError
from polyhead.core.specs import allowed_loss

SearchHow = Literal["sequential", "sweep", "screened"]
# What searches are measured against, see `benchmarks/trial_baselines.py`.
BaselineHow = Literal["zero", "even", "random"]

# Fine-tunings that a screened search may use, k = 0 included.
MOST_SCREENED = 5

# Points: the second of the two drops that the screening looks for, method `screened`.
SCREEN_POINTS = 2.0

# Scores are ratios of counts in points: differences below this are rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Trial:
    """One fine-tuning: `k` heads pruned, and its development score in points (0..100)."""

    k: int
    score: float


@dataclass(frozen=True)
class TrialTable:
    """What a search did and chose.

    Attributes:
        trials: In the order in which the search asked for them, k = 0 first; already known ones included.
        chosen: The k that the objective picks among them.
        how: The kind of search, or of baseline.
        objective: `best` or `within:X`.
        max_pruned: Largest k considered.
        reason: In words, why these k were tried and this one was chosen; with `max_pruned` = 0, that no other was allowed.
        screen: Masked score in points for k = 0..max_pruned, nothing retrained; None where the search needs none.
        standard_error: Of the masked score at k = 0, in points; None likewise.
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
        """Development score of every k tried, in points."""
        return {trial.k: trial.score for trial in self.trials}


@dataclass
class _Screening:
    """What a screened plan learns on its way."""

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
    """The trials run and the k chosen, k = 0 always among the trials and run first.

    `sweep` tries every k in 0..max_pruned. `sequential` tries k = 1, 2, … and stops at the first whose score lies more than
    `delta` below the best so far (for `within:X`: more than the larger of `delta` and X), or at max_pruned. `screened` fine-tunes
    at most five: after k = 0 it calls `screen`, and tries the largest k whose masked score is within one standard error of that
    at 0, the largest within 2 points of it, and the midpoints (rounded down) between 0, the smaller and the larger of the two,
    from small to large; equal ones collapse. It stops at a trial that lies more than two standard errors below the bar, which
    is the best score so far for `best` and the score at k = 0 less X for `within:X`: a loss that large is no noise, and more
    heads would only lose more. If none did, and the last and largest k is the one that the objective would choose, it goes on
    to the midpoint (rounded up) between that k and max_pruned, again until one is not, five are spent or max_pruned is tried.

    Args:
        score_at: Fine-tunes with k heads pruned and returns the development score in points (0..100). Costs one trial.
        max_pruned: Largest k, K.
        how: The kind of search.
        objective: `best`: highest score, ties to the larger k. `within:X`: the largest k that loses at most X points of k = 0.
        screen: Returns the score in points for every k in 0..K with masks on the fine-tuned full model. Called at most once,
            after k = 0 is known. Needed by `screened` alone.
        standard_error: Of the score at k = 0, in points, or a function that returns it; needed by `screened` alone.
        delta: See `sequential`.
        known: Scores of trials already done, so that a stopped search goes on; they are not run again.
        include_zero: False runs k = 0 for comparison but never chooses it: the paper takes the best of k = 1..12.

    Raises:
        SettingError: A setting is not allowed or missing, or a score is not a number.

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
    """Why these k and this one; nothing was compared where there was no choice."""
    return f"{tried}; {why}" if max_pruned else "k = 0 was the only one allowed (max_pruned = 0), so no other was tried"


def _drive(plan: _Plan, score_at: Callable[[int], float], known: Mapping[int, float]) -> tuple[tuple[Trial, ...], str]:
    """Answer the plan's questions until it returns its reason."""
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
            return f"stopped at k = {k}: {best - score:.2f} points below the best so far, allowed were {tolerance:g}"
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
    """What the screening says should be tried besides k = 0, from small to large, and why."""
    within = [
        max(k for k, score in enumerate(masked) if score >= masked[0] - drop - _ROUNDING) for drop in (error, SCREEN_POINTS)
    ]
    low, high = sorted(within)
    candidates = {low // 2, low, (low + high) // 2, high} - {0}
    if not (candidates or include_zero):
        candidates = {max(range(1, len(masked)), key=lambda k: (masked[k], k))}
    return sorted(candidates), (
        f"with heads merely masked in the unpruned model the dev score stays within one standard error ({error:.2f} points) up "
        f"to k = {within[0]} and within {SCREEN_POINTS:g} points up to k = {within[1]}"
    )


def choose(trials: Sequence[Trial], loss: float | None, *, include_zero: bool = True) -> tuple[int, str]:
    """The k that an objective picks among trials, the first of which is k = 0, and why.

    Args:
        trials: In any order from the second one on.
        loss: Points of k = 0 that may go (`within:X`), or None (`best`); see `config.allowed_loss`.
        include_zero: Whether k = 0 may be picked where there is another.
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
