"""How many heads to prune: a search over k with few fine-tunings."""

import math
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from polyhead.core.errors import SettingError
from polyhead.core.specs import SearchHow, allowed_loss

# most fine-tunings of a screened search, including k = 0
MOST_SCREENED: Final = 5

# points: the second of the two drops that `screened` looks for
SCREEN_POINTS: Final = 2.0

# scores are ratios of counts in points: differences below this are rounding
_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class Trial:
    """One value of k: `k` heads pruned, and the dev score in points (0..100)."""

    k: int
    score: float


@dataclass(frozen=True)
class TrialTable:
    """The trials of a search and its choice.

    Attributes:
        trials: In search order, k = 0 first.
        chosen: The k that the objective picks.
        reason: Why these k were tried and this one was chosen.
        screen: Masked score in points for k = 0..K, without retraining; None if the search needs none. For a k that cannot be
            pruned it is that of the next lower one.
        standard_error: Standard error of the masked score at k = 0, in points; None if the search needs none.
    """

    trials: tuple[Trial, ...]
    chosen: int
    reason: str
    screen: tuple[float, ...] | None = None
    standard_error: float | None = None


def search(
    score_at: Callable[[int], float],
    *,
    max_pruned: int,
    possible: Sequence[int] | None = None,
    how: SearchHow = "screened",
    objective: str = "best",
    screen: Callable[[], Sequence[float]] | None = None,
    standard_error: Callable[[], float] | None = None,
    delta: float = 0.0,
    include_zero: bool = True,
    ahead: Callable[[Sequence[int]], object] | None = None,
) -> TrialTable:
    """The trials run and the k chosen; k = 0 always runs first.

    `sweep` tries every k in 0..max_pruned. `sequential` tries k = 1, 2, … and stops at the first score more than `delta` below
    the best so far (for `within:X`: more than the larger of `delta` and X), or at max_pruned. `screened` fine-tunes at most five
    times. After k = 0 it calls `screen` and finds two k: the largest whose masked score is within one standard error of the one
    at 0, and the largest within 2 points. It tries, in rising order and without duplicates, both of them, the midpoint between 0
    and the smaller, and the midpoint between the two (rounded down). It stops at a trial more than two standard errors below the
    bar (`best`: the best score so far; `within:X`: the score at k = 0 minus X), because more heads would only lose more.
    Otherwise, while the objective would choose the last and largest k, it tries the midpoint (rounded up) between that k and
    max_pruned, until five trials are spent or max_pruned is tried. `nested` tries the k of `nested_grid`: its trials are masks of
    one model and cost no fine-tuning each.

    Args:
        score_at: Fine-tunes with k heads pruned (`nested`: masks them) and returns the dev score in points (0..100).
        max_pruned: Largest k, K.
        possible: The k that can be pruned, 0 first and rising, if they are not all from 0 to K: heads that share a key go
            together. "Next", "midpoint" and "every sixth" above are then among these.
        how: The search.
        objective: `best`: highest score, ties to the larger k. `within:X`: the largest k at most X points below k = 0.
        screen: Returns the score in points for every possible k with masks on the fine-tuned full model. Called at most once,
            after k = 0. Only for `screened`.
        standard_error: Returns the standard error of the score at k = 0, in points. Called after `screen`. Only for `screened`.
        delta: See `sequential`.
        include_zero: False runs k = 0 for comparison but never chooses it, as in the paper (best of k = 1..12).
        ahead: Told which k will be scored for certain, before the first of them is, so that several can be made at a time.

    Raises:
        SettingError: A setting is missing or out of range, or a score is not finite.

    >>> table = search(lambda k: 90 - (k - 2) ** 2, max_pruned=4, how="sweep")
    >>> table.chosen, len(table.trials)
    (2, 5)
    """
    if max_pruned < (least := 0 if include_zero else 1):
        raise SettingError(f"max_pruned = {max_pruned}: should be at least {least}")
    if how not in _SEARCHES:
        raise SettingError(f"search {how!r}: expected {', '.join(_SEARCHES)}")
    ks = tuple(range(max_pruned + 1) if possible is None else possible)
    problem = _Problem(
        score_at, ks, allowed_loss(objective), delta, include_zero, screen, standard_error, ahead or (lambda ks: None)
    )
    found = _SEARCHES[how](problem)
    chosen, why = choose(found.trials, problem.loss, include_zero=include_zero)
    reason = (
        f"{found.tried}; {why}"
        if len(ks) > 1
        else f"k = 0 was the only one allowed (max_pruned = {max_pruned}), so no other was tried"
    )
    screened = None if found.screen is None else tuple(found.screen[bisect(ks, k) - 1] for k in range(max_pruned + 1))
    return TrialTable(tuple(found.trials), chosen, reason, screened, found.standard_error)


def regret(table: TrialTable, sweep: Mapping[int, float]) -> float:
    """Points by which the best k of a full sweep beats the chosen one on the same development sentences."""
    return max(sweep.values()) - sweep[table.chosen]


@dataclass(frozen=True)
class _Problem:
    """What a search is given: the arguments of `search`, with the objective as the loss that it allows."""

    score_at: Callable[[int], float]
    ks: tuple[int, ...]
    loss: float | None
    delta: float
    include_zero: bool
    screen: Callable[[], Sequence[float]] | None
    standard_error: Callable[[], float] | None
    ahead: Callable[[Sequence[int]], object]

    def trial(self, k: int) -> Trial:
        score = float(self.score_at(k))
        if not math.isfinite(score):
            raise SettingError(f"the trial with k = {k} scored {score}: expected points in 0..100")
        return Trial(k, score)

    def best(self, trials: Sequence[Trial]) -> float:
        return max((trial.score for trial in trials if trial.k or self.include_zero), default=-math.inf)


@dataclass(frozen=True)
class _Found:
    """What a search tried and why; `screen` by possible k, `standard_error` as in `TrialTable`."""

    trials: list[Trial]
    tried: str
    screen: tuple[float, ...] | None = None
    standard_error: float | None = None


def _sweep(problem: _Problem) -> _Found:
    problem.ahead(problem.ks)
    return _Found([problem.trial(k) for k in problem.ks], f"tried every k from 0 to {problem.ks[-1]}")


def _sequential(problem: _Problem) -> _Found:
    trials, tolerance = [problem.trial(0)], max(problem.delta, problem.loss or 0.0)
    for k in problem.ks[1:]:
        best = problem.best(trials)
        trials.append(problem.trial(k))
        if (below := best - trials[-1].score) > tolerance + _ROUNDING:
            why = f"stopped at k = {k}: {below:.2f} points below the best so far, allowed are {tolerance:g}"
            return _Found(trials, why)
    return _Found(trials, f"went up to the largest k, {problem.ks[-1]}")


def _screened(problem: _Problem) -> _Found:
    if problem.screen is None or problem.standard_error is None:
        raise SettingError("search 'screened' needs the masked scores and their standard error: use 'sequential' without them")
    trials = [problem.trial(0)]
    masked, error = tuple(map(float, problem.screen())), float(problem.standard_error())
    if len(masked) != len(problem.ks) or not all(map(math.isfinite, masked)):
        raise SettingError(f"screening gave {str(masked)[:60]}: expected a finite score for each k in 0..{problem.ks[-1]}")
    if not (math.isfinite(error) and error >= 0):
        raise SettingError(f"standard_error = {error}: should be a number of points, 0 or more")
    queue, why = _candidates(problem.ks, masked, error, include_zero=problem.include_zero)
    last = len(problem.ks) - 1
    while queue:
        place = queue.pop(0)
        k = problem.ks[place]
        trials.append(problem.trial(k))
        bar = problem.best(trials) if problem.loss is None else trials[0].score - problem.loss
        if (below := bar - trials[-1].score) > 2 * error + _ROUNDING:
            bar_is = "the best so far" if problem.loss is None else "the lowest score allowed"
            why += f"; stopped at k = {k}: {below:.2f} points below {bar_is}, more than two standard errors"
            break
        would_choose = choose(trials, problem.loss, include_zero=problem.include_zero)[0]
        if not queue and len(trials) < MOST_SCREENED and would_choose == k and place < last:
            queue = [(place + last + 1) // 2]
            why += f"; k = {k} was still the one to choose, so k = {problem.ks[queue[0]]} was tried"
    return _Found(trials, why, masked, error)


def nested_grid(possible: Sequence[int]) -> tuple[int, ...]:
    """The k at which a `nested` search scores its model: every possible k to 12, then every sixth, and the largest.

    >>> nested_grid(range(26))
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 18, 24, 25)
    """
    return tuple(k for place, k in enumerate(possible) if k <= 12 or place % 6 == 0 or k == possible[-1])


def _nested(problem: _Problem) -> _Found:
    grid = nested_grid(problem.ks)
    shown = f"every k to {grid[-1]}" if grid[-1] <= 12 else f"every k to 12, then every sixth to {grid[-1]}"
    return _Found([problem.trial(k) for k in grid], f"scored one model under the masks of {shown}")


_SEARCHES: Final[dict[SearchHow, Callable[[_Problem], _Found]]] = {
    "sequential": _sequential,
    "sweep": _sweep,
    "screened": _screened,
    "nested": _nested,
}


def _candidates(ks: Sequence[int], masked: Sequence[float], error: float, *, include_zero: bool) -> tuple[list[int], str]:
    """Places in `ks` to try after the first, in rising order, and why."""
    within = [
        max(k for k, score in enumerate(masked) if score >= masked[0] - drop - _ROUNDING) for drop in (error, SCREEN_POINTS)
    ]
    low, high = sorted(within)
    candidates = {low // 2, low, (low + high) // 2, high} - {0}
    if not (candidates or include_zero):
        candidates = {max(range(1, len(masked)), key=lambda k: (masked[k], k))}
    return sorted(candidates), (
        f"with heads only masked in the unpruned model the dev score stays within one standard error ({error:.2f} points) up "
        f"to k = {ks[within[0]]} and within {SCREEN_POINTS:g} points up to k = {ks[within[1]]}"
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
