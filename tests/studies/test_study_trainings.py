"""Which fine-tunings cells share, and what other procedures would need."""

import pytest
from studies.study_case import cells

from polyhead.studies.study_trainings import distinct, released, released_shared, trainings


def kinds(**keys: str) -> dict[str, int]:
    found = [one.kind for one in distinct(cells(**keys)).values()]
    return {kind: found.count(kind) for kind in dict.fromkeys(found)}


BASE = {"seeds": "[1]", "controls": '["random", "highest"]'}


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({"search": '{ how = "nested" }'}, {"full": 1, "nested": 3}),
        ({"search": '{ how = "sweep", max_pruned = 4 }'}, {"full": 1, "pruned": 12}),
        ({"search": '{ how = "screened" }'}, {"full": 1, "pruned": 12}),
        ({"search": '{ how = "sequential", max_pruned = 3 }'}, {"full": 1, "pruned": 9}),
        ({"search": '{ how = "sweep", prune = "after" }'}, {"full": 1}),
        ({"search": '{ how = "sweep", max_pruned = 0 }'}, {"full": 1}),
    ],
)
def test_arms_share_the_model_with_all_heads(keys: dict[str, str], wanted: dict[str, int]) -> None:
    assert kinds(**BASE, **keys) == wanted


def test_methods_share_the_model_with_all_heads_and_the_random_arm() -> None:
    keys = {**BASE, "methods": '["gradient", "magnitude"]', "search": '{ how = "nested" }'}
    assert kinds(**keys) == {"full": 1, "nested": 5}, "two methods ranked and highest, one random order"


def test_targets_share_a_source_model_unless_they_help_to_choose() -> None:
    keys = {"seeds": "[1]", "search": '{ how = "nested" }'}
    grids = '[[grid]]\n[[grid]]\ntargets = ["phrases/es"]\n'
    assert kinds(**keys, tables=grids) == {"full": 1, "nested": 1}
    assert kinds(**keys, tables=grids, select_on='"target-dev"') == {"full": 2, "nested": 2}


def test_each_heuristic_searches_every_source_and_shares_the_model_with_all_heads() -> None:
    keys = {
        "seeds": "[1]",
        "settings": '["multi-source"]',
        "sources": '["phrases/en", "phrases/es"]',
        "targets": '["phrases/de"]',
    }
    found = kinds(**keys, search='{ how = "nested" }', combine='["merged", "summed", "each"]')
    assert found == {"full": 1, "nested": 4}


def test_ranking_on_its_own_language_shares_the_source_model() -> None:
    grids = '[[grid]]\n[[grid]]\nsettings = ["monolingual"]\nsearch = { how = "sweep", max_pruned = 0 }\n'
    assert kinds(seeds="[1]", search='{ how = "nested" }', tables=grids) == {"full": 1, "nested": 1}


def test_every_tenth_is_a_model() -> None:
    keys = {
        "seeds": "[1]",
        "settings": '["low-resource", "multi-lingual"]',
        "targets": '["phrases/de"]',
        "target_tenths": "[1, 9]",
    }
    assert kinds(**keys, search='{ how = "nested" }') == {"full": 3, "nested": 3}


def test_noise_needs_models_with_all_heads_only_and_shares_the_seeds() -> None:
    assert kinds(seeds="[1, 2]", controls='["noise"]', search='{ how = "sweep", max_pruned = 2 }') == {"full": 10, "pruned": 4}


def test_a_seed_and_a_protocol_are_other_models() -> None:
    assert kinds(seeds="[1, 2]", search='{ how = "nested" }') == {"full": 2, "nested": 2}
    (plain,), (paper,) = cells(seeds="[1]"), cells(seeds="[1]", protocol='"paper"')
    assert next(trainings(plain)).name != next(trainings(paper)).name


def test_random_orders_of_each_heuristic_are_as_many_as_the_sources_and_depth_is_one() -> None:
    keys = {"settings": '["multi-source"]', "sources": '["phrases/en", "phrases/es", "phrases/nl"]', "targets": '["phrases/de"]'}
    nested = {**keys, "seeds": "[1]", "search": '{ how = "nested" }', "combine": '["each"]'}
    alone = len(distinct(cells(**{**nested, "controls": "[]"})))
    assert len(distinct(cells(**{**nested, "controls": '["random"]'}))) == alone + 3
    assert len(distinct(cells(**{**nested, "controls": '["depth"]'}))) == alone + 1


def test_the_first_study_costs_eight_times_less_than_the_released_procedure_with_shared_sources() -> None:
    """English, Chinese and Arabic, eight targets, five seeds, two controls."""
    others = '"ud/he_htb", "ud/ja_gsd", "ud/fa_seraji", "ud/de_gsd", "ud/nl_alpino", "ud/ur_udtb"'
    found = cells(
        sources='["ud/en_ewt", "ud/zh_gsdsimp", "ud/ar_padt"]',
        targets=f'["ud/en_ewt", "ud/zh_gsdsimp", "ud/ar_padt", {others}]',
        seeds="[42, 43, 44, 45, 46]",
        controls='["random", "highest"]',
        search='{ how = "nested", max_pruned = 12 }',
    )
    ours = len(distinct(found))
    assert ours == 3 * 5 * (1 + 3)
    assert released(found) == 3 * 8 * 5 * (13 + 12 + 12)
    assert released_shared(found) == 3 * 5 * (1 + 3 * 12)
    assert released(found) / ours >= 40
    assert released_shared(found) / ours >= 8


def test_the_released_procedure_has_no_more_trials_than_the_search_may_prune() -> None:
    assert released(cells(seeds="[1]", search="{ max_pruned = 2 }")) == 2 * 3
    assert released(cells(seeds="[1]", search='{ how = "nested", max_pruned = 48 }')) == 2 * 13
    assert released(cells(seeds="[1]", search='{ how = "sweep", max_pruned = 0 }')) == 2
