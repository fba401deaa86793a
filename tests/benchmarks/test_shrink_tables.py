"""Tables and pictures of the page on shrinking, from measured figures that are known."""

import copy
from typing import Any

import pytest
import shrink_tables
from shrink_pictures import front_chart, rows

LANGUAGES = ("en", "de")


def gain(points: float) -> dict[str, Any]:
    return {name: {"points": points, "low": points - 0.5, "high": points + 0.5, "p": 0.2, "p_holm": 0.4} for name in LANGUAGES}


def arm(points: float) -> dict[str, Any]:
    return {"seeds": [42, 43], "gain": gain(points)}


def row(**more: Any) -> dict[str, Any]:
    return {
        "seeds": [42, 43],
        "search_cpu_seconds": 12.4,
        "speedup_measured": [1.98, 2.02],
        "speedup_predicted": [2.0, 2.0],
        "heads": [3.5, 0.0],
        "neurons": [640.0, 64.0],
        "share_of_bytes": [0.34, 0.33],
        "megabytes": [470.0, 160.0],
        **more,
    }


TRIPS = {"densified": 1.23e-6, "onnx": 3e-5}
ASKED = {
    "pos: 2x, 32 x 128": {
        "rules": {"joint": row(none=arm(-2), refit=arm(-1)), "half-layers": row(refit=arm(-4))},
        "joint over": {"half-layers, refit": arm(3)},
    },
    "pos: 35 % of the size": {
        "rules": {"joint": row(refit=arm(-0.5), int8=arm(-1.5), int8_share_of_bytes=[0.09, 0.08], round_trips=TRIPS)},
        "joint over": {},
    },
    "ner: 2x, 32 x 128": {"rules": {"random": row(refit=arm(-6))}, "joint over": {}},
}
SIZES = {
    "taught 0": {
        "seeds": [42],
        "whole over ordinary": gain(0.25),
        "2x.32x128": {
            **row(),
            "over ordinary": gain(-0.75),
            "over the plan alone": gain(1.0),
            "seeds alone": [42],
            "over rules": {"half-layers": {"seeds": [42], "gain": gain(2.0), "cpu_minutes": {"elastic": 45.2, "rule": 18.4}}},
        },
        "smallest": {"1x32": {"speedup_measured": [2.2, 2.3], "speedup_predicted": [2.2, 2.2]}},
        "cpu_seconds": 100.0,
    }
}


def test_losses_are_gains_turned_round() -> None:
    pruned, repaired, elastic = shrink_tables.losses(ASKED, SIZES).splitlines()[2:]
    assert pruned == "| 2× | 32 × 128 | pruned | 1.98 to 2.02 | 2.00 (1.50 to 2.50) | 2.00 (1.50 to 2.50) | 2.00 | 2 |"
    assert "| repaired | 1.98 to 2.02 | 1.00 (0.50 to 1.50) |" in repaired
    assert "| elastic | 1.98 to 2.02 | 0.75 (0.25 to 1.25) |" in elastic
    found = {"pos: 3x, 1 x 32": {"rules": {"joint": row(refit=arm(-1))}, "joint over": {}}}
    *_, out_of_reach = shrink_tables.losses(found, SIZES).splitlines()
    assert out_of_reach == "| 3× | 1 × 32 | elastic | at most 2.20 to 2.30 |  |  |  | 1 |"


def test_predicted_speeds_are_marked() -> None:
    found = copy.deepcopy(ASKED)
    found["pos: 2x, 32 x 128"]["rules"]["joint"]["speedup_measured"] = [None, None]
    assert "| ~2.00 |" in shrink_tables.losses(found, {})


def test_other_tables() -> None:
    assert "| 32 × 128 | whole layers (DistilBERT) | repaired | 1.98 to 2.02 | 4.00 (3.50 to 4.50) |" in shrink_tables.rules(
        ASKED
    )
    assert "| 3.00 (2.50 to 3.50) | 3.00 (2.50 to 3.50) | 0.4 | 2 |" in shrink_tables.over(ASKED)
    whole = {"seeds": [42], "gain": gain(-0.25), "megabytes": 470.0, "int8_share_of_bytes": [0.26, 0.25]}
    sizes = shrink_tables.size_losses(ASKED, whole)
    assert "| nothing | int8 | 470 | 122 | 26.0 % | 0.25 (-0.25 to 0.75) |" in sizes
    assert shrink_tables.round_trips(ASKED).splitlines()[2:] == ["| 35 % of the size | 1.2e-06 | 3.0e-05 |"]
    assert "| 35 % of the size | float32 | 470 | 160 | 34.0 % | 0.50 (0.00 to 1.00) |" in sizes
    assert "| int8 | 470 | 42 | 9.0 % | 1.50 (1.00 to 2.00) |" in sizes
    assert shrink_tables.taken(ASKED).splitlines()[2:] == ["| 0 | 3.5, 640 |", "| 1 | 0.0, 64 |"]
    assert "| random | 1.98 to 2.02 | 6.00 (5.50 to 6.50) |" in shrink_tables.entities(ASKED)
    assert "| 2×, 32 × 128 | 0 | over the plan alone | 1.00 (0.50 to 1.50) |" in shrink_tables.elastic(SIZES)
    assert (
        "| 2× | 32 × 128 | whole layers (DistilBERT) | 2.00 (1.50 to 2.50) | 2.00 (1.50 to 2.50) | 0.4 | 45 | 18 | 1 |"
        in shrink_tables.elastic_over(SIZES)
    )
    cost = {"x": {"weights": 178e6, "asked": "2x", "cpu_seconds": 99.6, "table_cpu_seconds": 9.9, "peak_megabytes": 3000.2}}
    assert "| x | 178 M | 2x | 100 | 10 | 3000 |" in shrink_tables.search_cost(cost)


def test_nothing_measured_gives_no_table() -> None:
    makers = (shrink_tables.rules, shrink_tables.over, shrink_tables.taken, shrink_tables.entities, shrink_tables.round_trips)
    assert [make({}) for make in makers] == [""] * len(makers)
    assert shrink_tables.size_losses({}, {}) == ""
    assert (
        shrink_tables.losses({}, {})
        == shrink_tables.elastic({})
        == shrink_tables.elastic_over({})
        == shrink_tables.search_cost({})
        == ""
    )


def test_a_front_has_a_point_for_each_way_and_language_that_was_measured() -> None:
    found = [*rows(ASKED, SIZES, (32, 128))]
    assert [(point["how"], point["lost"]) for point in found if point["language"] == "de"] == [
        ("pruned", 2),
        ("repaired", 1),
        ("whole layers, repaired", 4),
        ("elastic", 0.75),
    ]
    assert found[0] == {"language": "en", "how": "pruned", "fast": 2.0, "lost": 2, "low": 1.5, "high": 2.5}
    assert [*rows(ASKED, SIZES, (1, 32))] == []


def test_a_front_is_drawn() -> None:
    altair = pytest.importorskip("altair", reason="needs the extra report")
    pytest.importorskip("vl_convert", reason="needs the extra report")
    from polyhead.report.pictures import picture_bytes

    svg = picture_bytes(front_chart(altair, [*rows(ASKED, SIZES, (32, 128))]), ".svg").decode()
    for text in ("times as fast, measured", "whole layers, repaired", ">de<"):
        assert text in svg
