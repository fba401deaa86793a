"""The tables of the page about gains: a row for what is measured, and none for what is not."""

from typing import Any

import gain_tables


def one(gain: float, k: list[int] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "gain": gain,
        "interval": [gain - 1, gain + 1],
        "p": 0.01,
        "p_holm": 0.5,
        "detectable": 1.5,
        "seeds": 5,
        "k": k,
    } | more


def table(gain: float, k: list[int]) -> dict[str, Any]:
    return {gain_tables.MEAN: one(gain, k), "en": one(gain + 1, k), "de": one(gain + 2, k)}


def rules(gain: float) -> dict[str, Any]:
    over = ("over the ordinary fine-tuning", "over its own k = 0")
    return {
        rule: {name: table(gain + i + more, [3, 12 + more]) for i, name in enumerate(over)}
        for more, rule in enumerate(["source best", "source within 0.5"])
    }


EMPTY: dict[str, Any] = {
    "sweep, K = 12": {},
    "nested, K = 12": {},
    "nested, K = 72": {},
    "curves over k": {},
}


def test_nothing_is_shown_that_is_not_measured() -> None:
    assert gain_tables.tables({"tables": EMPTY}) == {}


def test_a_nested_search_without_the_sweep() -> None:
    measured = EMPTY | {
        "nested, K = 72": {"ranked": rules(0.5), "random": rules(-2.0), "ranked - random, source best": table(2.5, [])}
    }
    found = gain_tables.tables({"tables": measured})
    assert set(found) == {"gains of nested", "gains by language", "order of heads"}
    assert (
        "| 72 | best on English dev | +0.50 (-0.50 to +1.50) | 0.5 | 1.50 | +1.50 (+0.50 to +2.50) | 3 to 12 | 5 |"
        in found["gains of nested"]
    )
    assert "| de | +2.50 (+1.50 to +3.50) |" in found["gains by language"]
    assert (
        "| 72 | random | 3 to 12 | -1.00 (-2.00 to +0.00) | 3 to 13 | +0.00 (-1.00 to +1.00) | +2.50 (+1.50 to +3.50) | 0.5 | 5 |"
        in found["order of heads"]
    )


def test_the_sweep_stands_beside_what_chance_chooses() -> None:
    primary = table(0.1, [0, 7])
    del primary[gain_tables.MEAN]["p_holm"]
    noise = {
        "runs": 26,
        "mean": 0.2,
        "standard_error": 0.1,
        "gain_minus_noise": -0.1,
        "interval": [-0.9, 0.7],
        "of the maximum on test": {"mean": 1.2, "standard_error": 0.1},
    }
    swept = {"chosen on English dev": primary, "best of k = 1..12 on each test (no p: a maximum)": table(0.9, [])}
    curves = {
        "seeds": {"sweep": 5, "nested": 10},
        "correlation": 0.31,
        "split_half_reliability": {"sweep": 0.1, "nested": 0.6},
        "variance_of_differences_between_k": {"sweep": 0.5, "nested": 0.01},
    }
    measured = EMPTY | {"sweep, K = 12": swept | {"selection noise": noise}, "curves over k": curves}
    found = gain_tables.tables({"tables": measured})
    lines = found["gains"].splitlines()
    assert "| primary: k chosen on English dev | +0.10 (-0.90 to +1.10) | 0.01 | 1.50 | 0 to 7 | 5 |" in lines, "p as it is"
    assert "| chosen like that among 26 unpruned runs: chance alone | +0.20 ± 0.20 |  |  |  |  |" in lines
    assert "| primary, less chance | -0.10 (-0.90 to +0.70) |  |  |  |  |" in lines
    assert "| split-half reliability over seeds | 0.60 | 0.10 |" in found["two searches"]


def test_what_searches_cost() -> None:
    measured = {
        "searches": {
            "screened, K = 12": {"fine-tunings": 3.0, "passes": 80_000.0, "seconds": 600.0},
            "nested, K = 12": {"fine-tunings": 2, "passes": 50_000.0, "seconds": 450.0},
        }
    }
    gains = {"tables": {"default search": {"nested minus screened, targets' dev": one(-0.5)}}}
    found = gain_tables.costs(measured, gains)
    assert "| `screened` | 12 | 3 | 80 | 10 | 1 |  |" in found
    assert "| `nested` | 12 | 2 | 50 | 8 | 0.75 | -0.50 (-1.50 to +0.50) |" in found
