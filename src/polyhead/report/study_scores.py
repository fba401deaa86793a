"""Gains of a study from its finished cells."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from polyhead.core.errors import SettingError
from polyhead.core.specs import allowed_loss
from polyhead.data.tasks import TASKS
from polyhead.learning.metrics import metric_columns, metric_from_columns
from polyhead.report.language_facts import branch
from polyhead.report.study_families import Family, families, unpruned_key
from polyhead.report.study_record import NOISE, StudyCellFacts, StudyCellRecord
from polyhead.report.study_view import View
from polyhead.selection.gains import ArmGain, SeedScores, UnprunedPool, arm_gains
from polyhead.selection.trials import Trial, choose

_SIDES: Final = ("unpruned", "pruned")

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Blank:
    """A score that no cell has kept: the k that a rule chose, on a target of a cell."""

    cell: StudyCellRecord
    target: str
    k: int


@dataclass(frozen=True, eq=False)
class StudyRow:
    """One gain of a study.

    Attributes:
        family: Its cells' settings.
        gain: The gain in points; its p within a table is left to the table.
        language: BCP-47 code of the target; `mean` for means.
        unpruned: Test score with all heads, mean over seeds; None of a contrast.
        pruned: Test score with the reported heads pruned.
        ks: Heads pruned, by seed, of a target alone.
        heads: Heads pruned, by seed and target, of all in it; empty of a contrast.
        n_heads: Heads that the encoder had.
        n_sentences: Of the smallest test set in it.
        cells: Names of the cells in it.
    """

    family: Family
    gain: ArmGain
    language: str
    unpruned: float | None
    pruned: float | None
    ks: tuple[int, ...]
    heads: tuple[int, ...]
    n_heads: int
    n_sentences: int
    cells: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class StudyScores:
    """The rows of a study and what is missing from them.

    Attributes:
        rows: In the order of families, arms and targets; contrasts of arms after them.
        blanks: Scores that a rule would need and no cell has kept.
        metric: Of all scores, by task.
        chosen_on_test: Keys of the families whose k was chosen on the tested split.
    """

    rows: tuple[StudyRow, ...]
    blanks: tuple[Blank, ...]
    metric: Mapping[str, str]
    chosen_on_test: frozenset[str]


def study_scores(cells: Sequence[StudyCellRecord], view: View | None = None) -> StudyScores:
    """Every gain of a study, by arithmetic on the counts that its cells have kept.

    A rule on dev is applied to the trials of each cell. Where it chooses a k that was not tested, the score is left out and named
    in `blanks`.

    Raises:
        SettingError: A metric that the counts do not give, or a fixed k that no cell has kept a score of.
        StoreError: A cell's file of counts is damaged.
    """
    view = view or View()
    rows: list[StudyRow] = []
    blanks: list[Blank] = []
    found = families(cells)
    pools = _pools(cells)
    for family in found:
        rows += _family_rows(family, view, pools, blanks)
    if view.k is not None and blanks and not rows:
        kept = sorted({k for family in found for cell in family.cells for k in cell.tested})
        step = f"give one of {', '.join(map(str, kept))}; study run with --test-every-k keeps every k that is tried"
        raise SettingError(f"k = {view.k}: no cell has kept a test score with so many heads pruned; {step}")
    tasks = dict.fromkeys(family.facts.task for family in found)
    on_test = frozenset(family.key for family in found if _on_test(family.facts, view))
    return StudyScores(tuple(rows), tuple(blanks), {task: view.metric or TASKS[task].metric for task in tasks}, on_test)


def chosen_k(cell: StudyCellRecord, target: str, view: View) -> int:
    """Heads pruned for a target under a view: its own k, one that another rule chooses on dev, or a fixed one.

    Where the protocol chooses k by the tested split, another metric chooses it there too, among the k that were tested.
    """
    assert cell.result is not None
    if view.k is not None:
        return view.k
    if view.objective is None:
        if view.metric is not None and _on_test(cell.cell, view) and (found := _best_tested(cell, target, view.metric)):
            return found
        return next(one.k for one in cell.result.targets if one.name == target)
    trials = [Trial(one.k, one.dev) for one in cell.result.trials]
    return choose(trials, allowed_loss(view.objective), include_zero=cell.cell.search.include_zero)[0]


def _best_tested(cell: StudyCellRecord, target: str, metric: str) -> int | None:
    """The tested k that scores best by a metric, of equals the largest; None if none with pruned heads was tested."""
    columns = metric_columns(TASKS[cell.cell.task], metric)
    kept = {k: _kept(cell, target, k) for k in cell.tested if k > 0}
    scores = {k: float(points(own[:, columns].sum(axis=0).astype(np.float64))) for k, own in kept.items() if own is not None}
    return max(scores, key=lambda k: (scores[k], k), default=None)


def _on_test(facts: StudyCellFacts, view: View) -> bool:
    return facts.protocol != "sound" and not view.chooses


def _family_rows(family: Family, view: View, pools: Mapping[str, list[StudyCellRecord]], blanks: list[Blank]) -> list[StudyRow]:
    task = TASKS[family.facts.task]
    columns = metric_columns(task, view.metric)
    arms = _arms(family, view, columns, blanks)
    languages = {name: cell.language[name] for cell in family.cells for name in cell.cell.targets}
    scored = {name for seeds in arms.values() for one in seeds for name in one.pruned}
    names = [name for name in languages if name in scored]
    if not names:
        return []
    found = arm_gains(
        arms,
        names,
        points,
        one_training=family.facts.search.one_training,
        chosen_on_test=_on_test(family.facts, view),
        pool=_pool(family, names, columns, pools),
        groups=_groups(names, languages) if view.families else None,
    )
    shown = found if len(names) > 1 else [row for row in found if row.name is not None]
    known: dict[int, float] = {}

    def score(counts: Any) -> float:
        if id(counts) not in known:
            known[id(counts)] = float(points(counts.sum(axis=0).astype(np.float64)))
        return known[id(counts)]

    return [_study_row(family, row, arms, names, languages, score) for row in shown]


def points(sums: Array) -> Array:
    """A metric in points from the sums of its columns."""
    return 100 * metric_from_columns(sums)


def _groups(names: Sequence[str], languages: Mapping[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[branch(languages[name])].append(name)
    return dict(groups)


def _arms(family: Family, view: View, columns: slice, blanks: list[Blank]) -> dict[str, list[SeedScores]]:
    """Every arm's seeds in order, `ranked` first; targets of several cells of one seed stand in one."""
    by_seed: dict[str, dict[int, list[StudyCellRecord]]] = defaultdict(lambda: defaultdict(list))
    for cell in family.cells:
        by_seed[cell.cell.arm][cell.seed].append(cell)
    shared: dict[tuple[int, str], Any] = {}
    return {
        arm: [
            one
            for seed, cells in sorted(by_seed[arm].items())
            if (one := _seed_scores(seed, cells, view, columns, shared, blanks)).pruned
        ]
        for arm in sorted(by_seed, key=lambda arm: (arm != "ranked", arm))
    }


def _seed_scores(
    seed: int,
    cells: Sequence[StudyCellRecord],
    view: View,
    columns: slice,
    shared: dict[tuple[int, str], Any],
    blanks: list[Blank],
) -> SeedScores:
    """The scores of one seed; `shared` has the unpruned counts, which all arms share, so that they are resampled once."""
    unpruned, pruned, ks, nested, compared = {}, {}, {}, {}, 1
    for cell in cells:
        assert cell.result is not None
        for name in cell.cell.targets:
            if not view.without.isdisjoint((name, cell.language[name])):
                continue
            k = chosen_k(cell, name, view)
            if (found := _kept(cell, name, k)) is None:
                blanks.append(Blank(cell, name, k))
                continue
            own = cell.counts(name, 0)[:, columns]
            whole = shared.setdefault((seed, name), own)
            unpruned[name] = whole if whole is own or np.array_equal(whole, own) else own
            pruned[name] = found[:, columns] if k else unpruned[name]
            ks[name] = k
            if cell.has_counts(name, 0, kind="nested"):
                nested[name] = cell.counts(name, 0, kind="nested")[:, columns]
        zero = cell.cell.search.include_zero
        compared = max(compared, sum(trial.k > 0 or zero for trial in cell.result.trials))
    return SeedScores(seed, unpruned, pruned, ks, nested if nested.keys() == pruned.keys() else None, compared)


def _kept(cell: StudyCellRecord, name: str, k: int) -> Any:
    """Test counts with k heads pruned, or of a nested model under the mask of k, which scores the same; None if not kept."""
    kinds = ("test", "nested") if k else ("test",)
    return next((cell.counts(name, k, kind=kind) for kind in kinds if cell.has_counts(name, k, kind=kind)), None)


def _pools(cells: Iterable[StudyCellRecord]) -> dict[str, list[StudyCellRecord]]:
    """Unpruned fine-tunings that differ only in their seed, one a seed; only where cells of the arm `noise` add to them."""
    found: dict[str, dict[int, StudyCellRecord]] = defaultdict(dict)
    noisy = set()
    for cell in cells:
        key = unpruned_key(cell.cell)
        found[key].setdefault(cell.seed, cell)
        if cell.cell.arm == NOISE:
            noisy.add(key)
    return {key: [own[seed] for seed in sorted(own)] for key, own in found.items() if key in noisy}


def _pool(
    family: Family, names: Sequence[str], columns: slice, pools: Mapping[str, list[StudyCellRecord]]
) -> UnprunedPool | None:
    """Dev and test scores of the re-seeded unpruned models by target."""
    if family.facts.search.one_training:
        return None
    dev: dict[str, list[float]] = {}
    tests: dict[str, list[float]] = {}
    for key in dict.fromkeys(unpruned_key(cell.cell) for cell in family.cells):
        for name in names:
            own = [cell for cell in pools.get(key, []) if name in cell.cell.targets and cell.has_counts(name, 0)]
            if own:
                dev[name] = [_pooled_dev(cell) for cell in own]
                tests[name] = [float(points(cell.counts(name, 0)[:, columns].sum(axis=0, dtype=np.float64))) for cell in own]
    return UnprunedPool(dev, tests) if tests else None


def _pooled_dev(cell: StudyCellRecord) -> float:
    """The dev score with all heads: the mean over languages of the means over each one's corpora."""
    by_language: dict[str, list[float]] = defaultdict(list)
    for name, score in cell.dev["0"].items():
        by_language[cell.language[name]].append(score)
    return float(np.mean([np.mean(own) for own in by_language.values()]))


def _study_row(
    family: Family,
    row: ArmGain,
    arms: Mapping[str, Sequence[SeedScores]],
    names: Sequence[str],
    languages: Mapping[str, str],
    scores: Callable[[Any], float],
) -> StudyRow:
    used = [name for name in names if row.name in (name, None) or row.name == branch(languages[name])]
    arm = row.arm.partition(" - ")[0]
    own = [one for one in arms[arm] if one.seed in row.seeds]
    means = [float(np.mean([scores(getattr(one, side)[name]) for one in own for name in used])) for side in _SIDES]
    first = next(cell.result for cell in family.cells if cell.result is not None)
    return StudyRow(
        family=family,
        gain=row,
        language=languages.get(row.name or "", "mean"),
        unpruned=None if row.arm != arm else means[0],
        pruned=None if row.arm != arm else means[1],
        ks=tuple(one.ks[used[0]] for one in own) if row.name in names and row.arm == arm else (),
        heads=tuple(one.ks[name] for one in own for name in used) if row.arm == arm else (),
        n_heads=sum(value is not None for line in first.scores for value in line),
        n_sentences=min(len(own[0].pruned[name]) for name in used),
        cells=tuple(
            cell.name
            for cell in family.cells
            if cell.cell.arm in row.arm.split(" - ") and cell.seed in row.seeds and not set(used).isdisjoint(cell.cell.targets)
        ),
    )
