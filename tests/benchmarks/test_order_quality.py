"""Tables of orders' quality, from cells whose areas are known."""

from collections.abc import Iterator
from pathlib import Path

import method_orders
import numpy as np
import order_quality
import order_tables
import pytest
from e5 import keep
from method_orders import CHEAP, COSTLY_LANGUAGES, SEED, Cell, cells
from numpy.typing import NDArray
from pruning_cells import VARIANT_SEEDS, order, within_layers

WORDS, SENTENCES, HEADS = 1000, 12, 144

LOST = (6.5 + 60) / 73
"""Mean loss over k = 0..72 of an order that loses one from k = 12 on, and the share k / 12 of it before."""

LOST_SHORT = (6.5 + 24) / 37
"""The same for K = 36."""


def write(cell: Cell, kept: dict[int, float], *, order: NDArray[np.int64] | None = None, spent: int = 2000) -> None:
    """A cell in which that share of the right words stays right with k heads masked; on its own half, everything."""
    ks = cell.ks
    steps = [kept.get(k, kept[max(own for own in kept if own <= k)]) for k in ks]
    found: dict[str, NDArray[np.int64]] = {}
    for language, half in cell.judged:
        own = (language, half) == (cell.language, cell.half) and cell.order not in method_orders.BLIND
        right = [800 if own else round(800 * share) for share in steps]
        found[f"{language}{half}/correct"] = np.tile(np.array(right)[:, None], (1, SENTENCES)).astype(np.int64)
        found[f"{language}{half}/scored"] = np.full(SENTENCES, WORDS)
    ranked = np.arange(HEADS if cell.ks[-1] == 72 else cell.ks[-1]) if order is None else order
    facts = {"order": ranked, "ks": np.array(ks), "milliseconds": np.array([spent]), "read": np.array([128])}
    keep(cell.path, found | facts)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(method_orders, "CELLS", tmp_path)
    monkeypatch.setattr(Cell, "read", 128)
    order_quality.content.cache_clear()
    yield tmp_path
    order_quality.content.cache_clear()


SHARES = {"gradient": 0.9, "fisher": 0.95, "relevance": 0.99, "magnitude": 0.5}


@pytest.fixture
def partial(folder: Path) -> None:
    """Source labels only. `fisher` keeps 0.95 for k above 0 (0.96, 0.95, 0.94 by seed), `gradient` 0.9, `relevance` most."""
    reverse = np.arange(HEADS)[::-1].copy()
    for cell in cells():
        if cell.language != "en" or cell.order in ("signed", "shapley"):
            continue
        share = SHARES.get(cell.order, 0.7) + (SEED + 1 - cell.seed) / 100
        if cell.order == "oracle":
            share = 1.0
        turned = cell.order == "fisher" and cell.half == "B"
        write(cell, {0: 1.0, 6: share}, order=reverse if turned else None, spent=-1 if cell.half == "B" else 2000)


@pytest.mark.usefixtures("partial")
def test_areas_are_of_halves_not_read_and_intervals_are_over_seeds() -> None:
    row = order_quality.row("fisher", "source")
    at = row["chosen on"]
    expected = [1 - LOST * (1 - share) for share in (0.96, 0.95, 0.94)]
    assert at["area"]["by_seed"] == pytest.approx(expected, abs=1e-3)
    assert at["area"]["value"] == pytest.approx(np.mean(expected), abs=1e-3)
    assert at["area"]["low"] < np.mean(expected) < at["area"]["high"]
    assert at["kept at k = 36"]["value"] == pytest.approx(0.95, abs=1e-3)
    assert at["minus gradient"]["value"] == pytest.approx(0.05 * LOST, abs=1e-3)
    assert at["minus gradient"]["low"] > 0, "paired by seed"
    assert (row["tau between halves"], row["seconds"], row["sentences"]) == (-1, 2, [128])
    assert order_quality.row("gradient", "source")["tau between halves"] == 1
    assert set(row["area by language"]) == set(order_quality.TREEBANKS)


@pytest.mark.usefixtures("partial")
def test_regret_is_against_the_oracle_on_the_seed_that_has_one_without_an_interval() -> None:
    at = order_quality.row("gradient", "source")["chosen on"]
    assert at["regret"]["value"] == pytest.approx(0.09 * LOST_SHORT, abs=1e-3)
    assert (at["regret"]["seeds"], at["regret"]["low"]) == ([SEED], None)
    assert "regret against target labels" not in at, "no target oracle is there"
    assert "regret" not in order_quality.row("gradient", "source")["confirmed on"], "the oracle was judged in four languages"


@pytest.mark.usefixtures("partial")
def test_a_subset_is_judged_at_its_own_k_alone() -> None:
    own = order_quality.row("subset-36", "source")["chosen on"]
    assert own["kept at k = 36"]["value"] == pytest.approx(0.71, abs=1e-3)
    assert not {"area", "area, K = 36", "kept at k = 72"} & set(own)
    assert set(order_quality.row("subset-72", "source")["chosen on"]) >= {"kept at k = 72"}


@pytest.mark.usefixtures("partial")
def test_the_default_is_the_best_without_lrp_of_three_seeds_and_confirmed_elsewhere() -> None:
    found = order_quality.default_choice()
    assert (found["best"], found["confirmed"], found["default"]) == ("fisher", True, "fisher")
    assert found["missing"] == ["signed"]
    for seed in VARIANT_SEEDS[1:]:
        Cell(seed, "fisher", "en", "A").path.unlink()
    assert order_quality.default_choice()["best"] != "fisher", "one seed is not enough"


@pytest.mark.usefixtures("partial")
def test_what_is_not_better_elsewhere_is_not_confirmed() -> None:
    for seed in VARIANT_SEEDS:
        for half in method_orders.HALVES:
            cell = Cell(seed, "fisher", "en", half)
            found = dict(order_quality.content(cell))
            for language in order_quality.CONFIRMED_ON:
                for other in method_orders.HALVES:
                    found[f"{language}{other}/correct"] = found[f"{language}{other}/correct"] - 200 * (found["ks"] > 0)[:, None]
            keep(cell.path, found)
    order_quality.content.cache_clear()
    found = order_quality.default_choice()
    assert (found["best"], found["confirmed"], found["default"]) == ("fisher", False, "gradient")


@pytest.mark.usefixtures("partial")
def test_the_oracle_is_flattered_on_its_own_half_and_checked_against_all_heads() -> None:
    found = order_quality.oracle_checks()
    assert found["en: area on its own half minus on the other"] == pytest.approx(0)
    assert found["accuracy on the other half, k = 0, 6, 12"]["oracle"] == pytest.approx([80, 80, 80])
    assert found["accuracy on the other half, k = 0, 6, 12"]["oracle-all"] == pytest.approx([80, 56.8, 56.8])
    assert found["accuracy on its own half, k = 0, 6, 12"]["oracle-all"] == pytest.approx([80, 80, 80])
    assert found["heads of the first 12 that both prune"] == 12


@pytest.mark.usefixtures("partial")
def test_target_labels_and_nested_fine_tunings_have_rows_of_their_own() -> None:
    for half in method_orders.HALVES:
        for language in COSTLY_LANGUAGES[1:]:
            write(Cell(SEED, "oracle", language, half), {0: 1.0, 6: 1.1})
            write(Cell(SEED, "gradient", language, half), {0: 1.0, 6: 1.0})
    write(Cell(SEED, "gradient", "en", "A", nested=True), {0: 1.0, 6: 0.8, 42: 0.6})
    own = order_quality.row("gradient", "target")
    assert own["chosen on"]["area"]["value"] == pytest.approx(1)
    assert own["chosen on"]["regret"]["value"] == pytest.approx(0.1 * LOST_SHORT, abs=1e-3)
    assert "confirmed on" not in own
    source = order_quality.row("gradient", "source")["chosen on"]
    assert source["regret against target labels"]["value"] == pytest.approx((1.1 - 0.91) * LOST_SHORT, abs=1e-3)
    nested = order_quality.nested()["gradient"]["chosen on"]
    assert [nested[f"accuracy at k = {k}"] for k in (0, 36, 72)] == pytest.approx([80, 64, 48])


@pytest.mark.usefixtures("partial")
def test_the_pages_tables_are_made_of_what_is_there() -> None:
    found = order_quality.tables()
    assert found["cells"]["target labels, one seed"].startswith("0 of ")
    pages = order_tables.tables(found)
    header, _, *rows = pages["orders"].splitlines()
    assert [row.split("|")[1].strip() for row in rows[:3]] == ["(oracle)", "`relevance`", "`fisher`"], "sorted by area"
    assert header.count("|") == rows[0].count("|")
    assert "orders by target labels" not in pages
    assert "best four" not in pages


@pytest.mark.usefixtures("folder")
def test_no_cell_at_all_is_no_error() -> None:
    found = order_quality.tables()
    assert found["orders"] == {"source labels": {}, "target labels": {}}
    assert set(found["default"]) == {"missing"}
    assert order_tables.tables(found) == {}


def test_every_method_of_at_most_twenty_passes_is_there_but_those_learnt_for_one_k() -> None:
    assert {"gradient", "fisher", "relevance", "confidence", "magnitude"} <= set(CHEAP)
    assert not {"l0", "subset", "integrated", "ablation", "shapley", "random"} & set(CHEAP)
    every = list(cells())
    assert len(set(every)) == len(every) == len({cell.name for cell in every})
    source = [cell.language == "en" for cell in every]
    assert source == sorted(source, reverse=True), "source labels first"


def test_orders_of_layers_have_every_head_once_and_the_layers_that_they_say() -> None:
    top = order(SEED, "top-down")
    assert [head.layer for head in top] == [layer for layer in range(11, -1, -1) for _ in range(12)]
    layers = np.random.default_rng(0).permutation([head.layer for head in top]).tolist()
    shuffled = within_layers(layers, SEED)
    assert [head.layer for head in shuffled] == layers
    assert len(set(shuffled)) == len(set(top)) == HEADS
    assert within_layers(layers, SEED) == shuffled != within_layers(layers, SEED + 1)
