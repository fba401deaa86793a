"""The table of shrunk models from cells whose losses are known; the cells' order, and what each of them needs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import plan_times
import pytest
from e5 import keep
from shrink import FEW, KINDS, LARGE, SEEDS, asked_for, jobs, passes, table, timed_plans
from shrink_cells import DESIGN, SETTINGS, SHAPES, Asked, Design, before_name, distil_name, plan_arrays, plan_of, spare_minutes

from polyhead.compression.plan_choice import Importance, next_plan
from polyhead.compression.plan_costs import PlanCosts
from polyhead.compression.plan_search import RULES
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask, Plan
from polyhead.studies.shrink_spec import ShrinkSpec

LOST = {"joint": 1, "uniform": 3}
"""Words of 100 that each rule gets wrong beside the full model, without repair."""
LANGUAGES = SETTINGS["pos"].languages


@pytest.fixture(autouse=True)
def no_measured_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_times, "TABLES", tmp_path / "tables")  # they are of other models


@pytest.fixture
def design(tmp_path: Path) -> Design:
    own = replace(DESIGN, folder=tmp_path)
    for seed in SEEDS:
        wrong = np.random.default_rng(seed).integers(5, 12, size=50)

        def counts(lost: int, wrong: np.ndarray = wrong) -> np.ndarray:
            return np.stack([100 - wrong - lost, np.full(50, 100)], axis=1)

        keep(own.cell(before_name("pos", seed)), {language: counts(0) for language in LANGUAGES})
        for rule, lost in LOST.items():
            found = {"heads": np.array([6, 0]), "neurons": np.array([64, 128]), "bytes": np.array([1000, 700])}
            found |= {f"{name}/cpu_ms": np.array([500]) for name in ("search", "none", "refit")}
            for language in LANGUAGES:
                found |= {f"none/{language}": counts(lost), f"refit/{language}": counts(0)}
            asked = Asked(rule, seed, 2.0)
            keep(own.cell(asked.name), found)
            if seed in FEW:
                facts = {
                    "distil/minutes_x1000": np.array([10_000]),
                    "distil/steps": np.array([7]),
                    "distil/cpu_ms": np.array([-1]),
                }
                keep(own.cell(distil_name(asked)), facts | {f"distil/{name}": counts(lost - 1) for name in LANGUAGES})
    return own


def test_losses_and_contrasts_are_those_of_the_cells(design: Design) -> None:
    ((key, found),) = table(design).items()
    assert key == "pos: 2x, 32 x 128"
    for rule, lost in LOST.items():
        row = found["rules"][rule]
        assert row["none"]["worst_language_loses"] == pytest.approx(lost)
        assert row["refit"]["worst_language_loses"] == pytest.approx(0)
        assert row["distil"]["seeds"] == list(FEW)
        assert (row["distil"]["minutes"], row["distil"]["cpu_seconds"]) == ([10.0] * 3, None)
        assert row["search_cpu_seconds"] == 0.5
        assert row["share_of_bytes"] == [0.7] * len(SEEDS)
    gains = found["joint over"]
    assert [*gains] == ["uniform, none", "uniform, refit", "uniform, distil"]
    for arm, seeds in (("none", SEEDS), ("distil", FEW)):
        facts = gains[f"uniform, {arm}"]
        assert facts["seeds"] == list(seeds)
        assert all(own["points"] == pytest.approx(2) for own in facts["gain"].values())
        assert all((own["p"] is None) == (arm == "distil") for own in facts["gain"].values()), "no p below five seeds"
    assert all(own["p_holm"] >= own["p"] for own in gains["uniform, none"]["gain"].values())


def test_every_finished_plan_is_timed_at_its_batch(design: Design) -> None:
    assert {(shape, tuple(counts)) for shape, counts in timed_plans(design)} == {(LARGE, ((6, 64), (0, 128)))}


def test_the_claim_comes_first_and_no_cell_twice() -> None:
    speed = [*asked_for("speed")]
    assert len(speed) == len({own.name for own in speed})
    per_batch = len(RULES) * len(SEEDS)
    assert all((own.speedup, own.shape) == (2.0, LARGE) for own in speed[:per_batch])
    assert [own.seed for own in speed[:per_batch]] == sorted(own.seed for own in speed[:per_batch])
    assert all((own.speedup, own.shape) == (2.0, SHAPES[0]) for own in speed[per_batch : 2 * per_batch])
    others = speed[2 * per_batch :]
    assert [own.rule for own in others] == ["joint"] * 12 + ["half-layers"] * 12, "no page shows the other rules elsewhere"
    assert all(own.seed in FEW and own.speedup != 2.0 for own in others)
    assert {own.rule for own in asked_for("speed", ["random"])} == {"random"}
    distil = [*asked_for("distil")]
    assert [own.seed for own in distil[: 3 * len(RULES)]] == [seed for seed in FEW for _ in RULES]


def test_cells_wait_for_the_unpruned_tagger_and_distillation_for_both_searches(design: Design) -> None:
    found = {job.name: job for job in jobs(KINDS, [42], list(RULES), design)}
    assert next(iter(found)) == "before.42"
    assert found["ner.joint.2x.32x128.42"].needs == (design.cell("ner.before.42"),)
    needs = found["distil.random.2x.32x128.42"].needs
    assert needs == (design.cell("random.2x.32x128.42"), design.cell("joint.2x.32x128.42"))
    assert found["distil.joint.2x.32x128.42"].needs == needs[1:]
    keeping = {name for name, job in found.items() if job.work.keywords.get("distils")}  # type: ignore[attr-defined]
    assert keeping == {name.removeprefix("distil.") for name, job in found.items() if job.kind == "distil"}


def test_entities_are_repaired_as_a_command_does_by_default() -> None:
    assert SETTINGS["ner"].repairs == (ShrinkSpec(speedup=2.0).repair,)


def test_a_rule_with_few_plans_is_not_pushed_past_the_speed(design: Design) -> None:
    costs = PlanCosts("ms", 0.02, 0.03 * np.arange(13) / 12, 0.0517 * np.arange(1537) / 1536, step=64)
    start = Plan(HeadMask.full(12, 12), NeuronMask.full(12, 1536))
    alike = Importance(np.ones((12, 12)), np.ones((12, 1536)))
    for speedup in (1.5, 2.0, 3.0):
        for rule in ("joint", "magnitude", "uniform", "half-layers"):
            spec = Asked(rule, 42, speedup).spec(design)
            plan = next_plan(start, alike, costs, costs.of(start.counts) / (spec.speedup or 1), spread=spec.row.spread)
            assert costs.of(start.counts) / costs.of(plan.counts) == pytest.approx(speedup, rel=0.05), (rule, speedup)
            if rule == "half-layers" and speedup == 2.0:
                assert sum(heads > 0 for heads, _ in plan.counts) == 6
    assert Asked("joint", 42, 2.0).spec(design).speedup == Asked("magnitude", 42, 2.0).spec(design).speedup == 2.0


def test_a_rule_whose_search_takes_less_is_given_the_rest() -> None:
    joint, other = ({"search/cpu_ms": np.array([own]), "refit/cpu_ms": np.array([30_000])} for own in (390_000, 90_000))
    assert spare_minutes(other, joint) == 5
    assert spare_minutes(joint, other) == spare_minutes(joint, joint) == 0
    assert passes("distil", Asked("random", 42, 2.0)) > passes("distil", Asked("joint", 42, 2.0))


def test_a_plan_is_kept_whole() -> None:
    random = np.random.default_rng(1)
    start = Plan(HeadMask.full(3, 4), NeuronMask.full(3, 13))
    plan = Plan(HeadMask(random.random((3, 4)) < 0.5), NeuronMask(random.random((3, 13)) < 0.5))
    assert plan_of(plan_arrays(plan), start) == plan
