"""The cells of grids, whatever the order and layout of the keys."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies.study_case import KEYS, cells, study_text

from polyhead.core.specs import SearchSpec
from polyhead.studies.study_expansion import most_fine_tunings
from polyhead.studies.study_file import expand_study, parse_study

MORE = {
    "methods": '["gradient", "fisher"]',
    "settings": '["cross-lingual", "multi-lingual", "low-resource"]',
    "controls": '["random", "highest"]',
    "target_tenths": "[1, 9]",
    "rank_on": '"sources"',
    "train_limit": "100",
    "strict": "true",
    "search.how": '"nested"',
    "search.max_pruned": "3",
    "train.epochs": "1",
    "train.learning_rate": "1e-4",
}
CHANGED = {
    "models": '["other"]',
    "sources": '["phrases/nl"]',
    "targets": '["phrases/de"]',
    "seeds": "[1, 3]",
    "methods": '["gradient"]',
    "settings": '["cross-lingual", "low-resource"]',
    "controls": '["random"]',
    "target_tenths": "[1]",
    "rank_on": '"sources+target"',
    "train_limit": "101",
    "strict": "false",
    "search.how": '"sweep"',
    "search.max_pruned": "4",
    "train.epochs": "2",
    "train.learning_rate": "2e-4",
}
LINES = {**KEYS, **MORE}
FINGERPRINTS = {cell.fingerprint for cell in cells(**MORE)}


@given(st.permutations(sorted(LINES)), st.randoms(use_true_random=False))
def test_order_of_keys_comments_and_spaces_change_nothing(order: list[str], chance: random.Random) -> None:
    lines = []
    for key in order:
        lines += [chance.choice(["# a comment", "", "   "])] * chance.randrange(3)
        equals = chance.choice(["=", " = ", "  =\t"])
        lines.append(f"{key}{equals}{LINES[key]}{chance.choice(['', ' # why'])}")
    found = expand_study(parse_study("\n".join(lines), "f"))
    assert {cell.fingerprint for cell in found} == FINGERPRINTS
    assert len(found) == len(FINGERPRINTS), "no cell is there twice"


@pytest.mark.parametrize("key", sorted(CHANGED))
def test_every_changed_value_changes_cells(key: str) -> None:
    assert {cell.fingerprint for cell in cells(**{**MORE, key: CHANGED[key]})} != FINGERPRINTS


@given(
    st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True),
    st.lists(st.sampled_from(["random", "highest", "depth"]), unique=True),
    st.lists(st.sampled_from(["gradient", "fisher", "magnitude"]), min_size=1, unique=True),
    st.lists(st.sampled_from(["phrases/de", "phrases/nl", "phrases/es"]), min_size=1, unique=True),
)
def test_the_number_of_cells_is_that_of_the_combinations(
    seeds: list[int], controls: list[str], methods: list[str], targets: list[str]
) -> None:
    def listed(values: list[str]) -> str:
        return "[" + ", ".join(f'"{value}"' for value in values) + "]"

    keys = {"seeds": str(seeds), "controls": listed(controls), "methods": listed(methods), "targets": listed(targets)}
    combinations = len(seeds) * (1 + len(controls)) * len(methods)
    assert len(cells(**keys)) == combinations, "one cell serves all targets"
    assert len(cells(**keys, settings='["multi-lingual"]')) == combinations * len(targets)


def test_what_decides_nothing_in_a_setting_is_the_same_there() -> None:
    plain, ranked = cells(), cells(rank_on='"sources"')
    assert [cell.fingerprint for cell in plain] == [cell.fingerprint for cell in ranked]
    keys = {"settings": '["multi-source", "cross-lingual"]', "sources": '["phrases/en", "phrases/es"]', "combine": '["summed"]'}
    found = cells(**keys)
    assert {(cell.setting, cell.combine) for cell in found} == {("multi-source", "summed"), ("cross-lingual", "merged")}


def test_low_resource_has_every_tenth_unless_some_are_named() -> None:
    assert [cell.target_tenths for cell in cells(settings='["low-resource"]', targets='["phrases/de"]', seeds="[1]")] == [
        *range(1, 10)
    ]


def test_noise_is_a_pool_of_unpruned_models_that_methods_share() -> None:
    found = cells(controls='["noise"]', methods='["gradient", "fisher"]', search='{ how = "screened" }')
    pool = [cell for cell in found if cell.arm == "noise"]
    assert [cell.seed for cell in pool] == [1, 2, *range(3, 11)], "the study's seeds, then the next"
    assert {cell.method for cell in pool} == {"gradient"}
    assert len([cell for cell in cells(controls='["noise"]', noise_runs="3") if cell.arm == "noise"]) == 3
    assert len([cell for cell in cells(controls='["noise"]', search='{ how = "sweep" }') if cell.arm == "noise"]) == 26


@pytest.mark.parametrize(
    ("search", "most"),
    [
        (SearchSpec(how="nested", max_pruned=48), 2),
        (SearchSpec(how="screened"), 5),
        (SearchSpec(how="screened", max_pruned=2), 3),
        (SearchSpec(how="sequential", max_pruned=4), 5),
        (SearchSpec(how="sweep", max_pruned=0), 1),
        (SearchSpec(how="sweep", prune="after"), 1),
    ],
)
def test_the_most_fine_tunings_of_a_search(search: SearchSpec, most: int) -> None:
    assert most_fine_tunings(search) == most


def test_every_cell_can_become_a_run() -> None:
    for cell in expand_study(parse_study(study_text(**MORE), "f")):
        cell.settings()
