"""The rows of a run's statistics from made-up outcomes: what seeds, targets, controls and noise come to."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from polyhead.core.specs import SearchSpec
from polyhead.data.tasks import TASKS
from polyhead.learning.metrics import metric_from_counts
from polyhead.report.record import NoisePool
from polyhead.selection.gains import GAIN_SEED, SeedScores, arm_gains
from polyhead.selection.statistics import holm, mean_gain
from polyhead.studies import summary
from polyhead.studies.evaluations import Figures
from polyhead.studies.protocols import PROTOCOLS
from polyhead.studies.summary import noise_pool, summarise

TARGETS = {"de-test": "de", "nl-test": "nl"}
N_SENTENCES = {"de-test": 60, "nl-test": 40}


def points(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return 100 * metric_from_counts(TASKS["pos"], counts)


def context(*, prune: str = "before", protocol: str = "sound") -> Any:
    search = SearchSpec(max_pruned=6, prune=prune)  # type: ignore[arg-type]
    settings = SimpleNamespace(search=search, rules=PROTOCOLS[protocol])
    inputs = SimpleNamespace(tests=TARGETS, languages=TARGETS, task=TASKS["pos"])
    return SimpleNamespace(settings=settings, inputs=inputs, named=lambda seed, arm: f"seed {seed}, {arm}")


def figures(rate: float, *, seed: int) -> dict[str, Figures]:
    """Of a tagger that is right at `rate` on both targets."""
    rng, found = np.random.default_rng(seed), {}
    for name, n in N_SENTENCES.items():
        counts = np.zeros((n, 5), dtype=np.int64)
        counts[:, 0], counts[:, 1] = rng.binomial(20, rate, size=n), 20
        found[name] = Figures({"accuracy": counts[:, 0].sum() / counts[:, 1].sum()}, counts, 20 * n)
    return found


def outcome(seed: int, arm: str = "ranked", *, gain: float = 0.1, k: int = 3, ks: tuple[int, ...] = (0, 3, 6)) -> Any:
    unpruned = figures(0.7, seed=seed)
    pruned = figures(0.7 + gain, seed=1000 + seed) if k else unpruned
    trials = tuple(SimpleNamespace(k=own) for own in ks)
    cell = SimpleNamespace(arm=arm, seed=seed)
    table = SimpleNamespace(trials=trials, chosen=k)
    fit = SimpleNamespace(folder=Path(f"{arm}-{seed}"))
    return SimpleNamespace(
        others=(),
        cell=cell,
        table=table,
        full=fit,
        chosen=fit,
        pruned=pruned,
        unpruned=unpruned,
        nested_unpruned=None,
        reported=dict.fromkeys(TARGETS, k),
    )


def test_a_row_is_the_one_function_on_the_counts_of_all_seeds() -> None:
    own = [outcome(seed) for seed in range(5)]
    german, dutch, mean = summarise(context(), own, None)
    assert [(row.name, row.language) for row in (german, dutch, mean)] == [
        ("de-test", "de"),
        ("nl-test", "nl"),
        (None, "mean"),
    ]
    sets = [tuple(np.stack([getattr(o, side)[name].counts for o in own]) for side in ("pruned", "unpruned")) for name in TARGETS]
    for row, some in ((german, sets[:1]), (mean, sets)):
        found = mean_gain(some, lambda c: 100 * c[..., 0] / c[..., 1], seed=GAIN_SEED)  # type: ignore[arg-type]
        assert (row.gain, row.n_seeds, row.by_seed) == (
            pytest.approx(found.value),
            5,
            pytest.approx(list(found.by_seed)),
        )
        assert row.standard_error == pytest.approx(found.standard_error)
        assert row.p < 0.01
    assert mean.gain == pytest.approx((german.gain + dutch.gain) / 2)
    rows = [german, dutch, mean]
    assert [row.p_holm for row in rows] == pytest.approx(holm([row.p for row in rows])), "the printed table is one family"
    assert mean.noise is mean.gain_minus_noise is None


@pytest.mark.parametrize(
    ("n", "filled"), [(1, []), (2, []), (3, ["interval", "detectable_gain"]), (5, ["interval", "p", "detectable_gain"])]
)
def test_as_much_is_said_as_the_seeds_allow(n: int, filled: list[str]) -> None:
    for row in summarise(context(), [outcome(seed) for seed in range(n)], None):
        assert [key for key in ("interval", "p", "detectable_gain") if getattr(row, key) is not None] == filled


def test_where_all_seeds_keep_all_heads_the_gain_is_0_and_leaves_the_family() -> None:
    own = [outcome(seed, k=0) for seed in range(5)]
    for row in summarise(context(), own, None):
        assert (row.none_pruned, row.gain, row.p, row.p_holm, row.interval) == (True, 0.0, None, None, None)
    for one in own:
        one.reported["nl-test"], one.pruned = 3, {**one.pruned, "nl-test": figures(0.8, seed=2000 + one.cell.seed)["nl-test"]}
    german, dutch, mean = summarise(context(), own, None)
    assert (german.none_pruned, dutch.none_pruned, mean.none_pruned) == (True, False, False)
    assert [dutch.p_holm, mean.p_holm] == pytest.approx(holm([dutch.p, mean.p]))


def test_a_seed_that_keeps_all_heads_gains_0() -> None:
    rows = summarise(context(), [outcome(seed, k=3 * (seed > 0)) for seed in range(5)], None)
    assert all(row.by_seed[0] == 0 and row.by_seed[1] != 0 for row in rows)


def test_a_maximum_over_the_tested_split_has_no_interval_and_no_p_but_is_held_against_noise() -> None:
    own = [*(outcome(seed) for seed in range(5)), *(outcome(seed, "random", gain=0.05) for seed in range(5))]
    rows = summarise(context(protocol="paper"), own, pool(10, spread=0.1))
    assert {row.arm for row in rows} == {"ranked", "random", "ranked - random"}
    assert all(value is None for row in rows for value in (row.interval, row.detectable_gain, row.p, row.p_holm))
    assert all(row.gain_minus_noise is not None for row in rows if row.arm == "ranked")
    after = summarise(context(protocol="paper", prune="after"), own, None)
    assert all(row.gain_minus_noise is not None for row in after if row.arm == "ranked")


def test_translations_are_resampled_together_and_unrelated_text_of_equal_size_is_not() -> None:
    """Sets with equal counts: by row together they have the error of one, by themselves that of one over the root of n."""

    def error(*targets: tuple[str, int]) -> float:
        names, seeds = [name for name, _ in targets], []
        for seed in range(5):
            pruned, unpruned = (
                {name: figures(rate, seed=seed)["de-test"].counts[:n] for name, n in targets} for rate in (0.8, 0.7)
            )
            seeds.append(SeedScores(seed, unpruned, pruned, dict.fromkeys(names, 3)))
        mean = arm_gains({"ranked": seeds}, names, points, one_training=False, chosen_on_test=False)[-1]
        assert mean.name is None
        assert mean.found.standard_error is not None
        return mean.found.standard_error

    one = error(("phrases/de", 60))
    four = [("phrases/de", 60), ("phrases/nl", 60), ("phrases/ar", 60), ("phrases/zh", 60)]
    assert error(*four) == pytest.approx(one)
    odd = error(*four, ("mine.tsv", 50))
    assert odd > 0.8 * one, "one more target leaves the four together"
    assert error(("ud/de_gsd", 60), ("ud/nl_alpino", 60)) < 0.95 * one
    assert error(("xsid/de", 60), ("xsid/ja", 50)) == error(("mine.tsv", 60), ("yours.tsv", 50)), "such rows do not match"


def pool(size: int, *, spread: float) -> NoisePool:
    rng = np.random.default_rng(0)
    dev = rng.normal(70, spread, size)
    return NoisePool(seeds=list(range(size)), dev=dev.tolist(), tests={name: (dev + 1).tolist() for name in TARGETS})


def test_a_gain_is_held_against_what_choosing_alone_gives() -> None:
    own = [outcome(seed) for seed in range(5)]
    for spread, beyond in ((0.1, True), (20, False)):
        for row in summarise(context(), own, pool(10, spread=spread)):
            assert row.noise is not None
            assert row.gain_minus_noise is not None
            assert row.noise.mean > 0
            low, high = row.gain_minus_noise.interval
            assert row.gain_minus_noise.value == pytest.approx(row.gain - row.noise.mean)
            assert (low > 0) == beyond
            assert beyond or high - low > row.interval[1] - row.interval[0]
    few = summarise(context(), own[:2], pool(10, spread=1))
    assert all(row.noise is not None and row.gain_minus_noise is None for row in few), "no interval, no claim"
    contrasts = summarise(context(), [*own, *(outcome(seed, "random") for seed in range(5))], pool(10, spread=1))
    assert all(row.noise is None for row in contrasts if " - " in row.arm)


@pytest.mark.parametrize(("ks", "size"), [((0, 3, 6), 10), (tuple(range(7)), 14)])
def test_the_pool_is_ten_or_twice_what_the_longest_search_compared(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, ks: tuple[int, ...], size: int
) -> None:
    """Each model of the pool is reported and dropped as soon as it is scored; those of the first seed stay."""
    work: list[Any] = []

    def train(context: Any, seed: int, mask: None) -> Any:
        work.append(seed)
        return SimpleNamespace(dev=figures(0.7, seed=seed), seconds=1.0, folder=Path(str(seed)))

    monkeypatch.setattr(summary, "fine_tuned", train)
    monkeypatch.setattr(summary, "tested", lambda context, fit: fit.dev)
    monkeypatch.setattr(summary, "forget_checkpoints", lambda context, folders, needed: work.append((folders, needed)))
    monkeypatch.setattr(summary, "replace", lambda train, seed: seed)
    own, there = [outcome(4), outcome(9), outcome(4, "random", ks=ks)], context()
    there.settings.train, there.present = None, None
    with caplog.at_level(logging.INFO):
        found = noise_pool(there, own)
    assert found is not None
    assert (found.seeds[:3], len(found.seeds), len(found.dev)) == ([4, 9, 10], size, size)
    assert {name: len(scores) for name, scores in found.tests.items()} == dict.fromkeys(TARGETS, size)
    assert work == [step for seed in found.seeds for step in (seed, ([Path(str(seed))], {own[0].full.folder}))]
    assert [line.split(" scores ")[0] for line in caplog.messages][1] == f"seed 9, noise: unpruned model 2 of {size}"
    assert noise_pool(context(prune="after"), own) is None, "masks of one model share its training"
    last = noise_pool(there, [outcome(2**32 - 1)])
    assert last is not None
    assert last.seeds == [2**32 - 1, *range(9)], "no seed is larger"


def test_masks_of_one_model_are_held_against_random_heads_of_the_same_search() -> None:
    own = [outcome(seed) for seed in range(5)]
    controls = [outcome(seed, "random", gain=0.05) for seed in range(5)]
    rows = summarise(context(prune="after"), [*own, *controls], None)
    ranked = {row.name: row for row in rows if row.arm == "ranked"}
    contrast = {row.name: row for row in rows if row.arm == "ranked - random"}
    for name, row in ranked.items():
        assert row.noise is None
        assert row.gain_minus_noise is not None
        assert (row.gain_minus_noise.value, row.gain_minus_noise.interval) == (contrast[name].gain, contrast[name].interval)
    assert all(row.gain_minus_noise is None for row in rows if row.arm != "ranked")
    assert all(row.gain_minus_noise is None for row in summarise(context(prune="after"), own, None))
    before = summarise(context(), [*own, *controls], None)
    assert all(row.gain_minus_noise is None for row in before)


def test_contrasts_are_one_table() -> None:
    arms = [
        outcome(seed, arm, gain=gain) for arm, gain in (("ranked", 0.1), ("random", 0.06), ("highest", 0.0)) for seed in range(5)
    ]
    rows = [row for row in summarise(context(), arms, None) if " - " in row.arm]
    assert len(rows) == 6
    assert [row.p_holm for row in rows] == pytest.approx(holm([row.p for row in rows]))
