"""Several languages' scores combined into one, and languages predicted from others."""

from collections.abc import Sequence
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadId, HeadScores, normalise
from polyhead.selection.combining import Combination, combine, leave_one_out, mean_ranks, ranks, regret_places, worst_ranks
from polyhead.selection.ranking import rank

Array = NDArray[np.float64]
ONE_RESULT = [how for how in get_args(Combination) if how != "each"]
BY_RANK = ["mean-rank", "worst-case", "regret"]
# shares of whole numbers are told apart exactly, so that no order hangs on rounding; the zeros and repeats make ties
whole = st.integers(0, 30).map(float)


def languages_of(least: int, most: int) -> st.SearchStrategy[list[Array]]:
    """One matrix a language, all of one shape, with the same heads gone."""

    def with_gone(drawn: tuple[Array, Array]) -> list[Array]:
        stack, gone = drawn
        return [np.where(gone, np.nan, values) for values in stack]

    def of_shape(shape: tuple[int, int, int]) -> st.SearchStrategy[tuple[Array, Array]]:
        gone = st.one_of(st.just(np.zeros(shape[1:], dtype=bool)), arrays(bool, shape[1:]))
        return st.tuples(arrays(np.float64, shape, elements=whole), gone)

    return st.tuples(st.integers(least, most), st.integers(1, 3), st.integers(1, 4)).flatmap(of_shape).map(with_gone)


def scores_of(values: object, **rest: object) -> HeadScores:
    return HeadScores(np.array(values, dtype=np.float64), "gradient", **rest)  # type: ignore[arg-type]


def as_scores(matrices: Sequence[Array], n: int = 2) -> list[HeadScores]:
    return [scores_of(values, total=values * n, n=n, languages=(f"l{i}",)) for i, values in enumerate(matrices)]


def combined(matrices: Sequence[Array], how: str) -> Array:
    (result,) = combine(as_scores(matrices), how)  # type: ignore[arg-type]
    return result.values


@pytest.mark.parametrize("how", ONE_RESULT)
@given(languages_of(1, 1))
@settings(deadline=None, max_examples=40)
def test_a_single_language_keeps_its_own_order(how: str, matrices: list[Array]) -> None:
    assert rank(combined(matrices, how)) == rank(matrices[0])


@pytest.mark.parametrize("how", ONE_RESULT)
@given(languages_of(2, 4), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_the_order_of_languages_changes_nothing(how: str, matrices: list[Array], random) -> None:
    mixed = list(matrices)
    random.shuffle(mixed)
    np.testing.assert_allclose(combined(mixed, how), combined(matrices, how), rtol=1e-12)
    assert rank(combined(mixed, how)) == rank(combined(matrices, how))


@pytest.mark.parametrize("how", ["mean-rank", "worst-case"])
@given(languages_of(2, 4))
@settings(deadline=None, max_examples=40)
def test_a_monotone_rescaling_of_one_language_changes_nothing(how: str, matrices: list[Array]) -> None:
    np.testing.assert_array_equal(combined([np.exp(matrices[0] / 3) - 7, *matrices[1:]], how), combined(matrices, how))


@pytest.mark.parametrize("how", ONE_RESULT)
@given(languages_of(2, 3))
@settings(deadline=None, max_examples=40)
def test_heads_that_any_source_lacks_stay_nan(how: str, matrices: list[Array]) -> None:
    matrices[0] = matrices[0].copy()
    matrices[0][0, 0] = np.nan
    gone = np.isnan(matrices).any(axis=0)
    values = combined(matrices, how)
    np.testing.assert_array_equal(np.isnan(values), gone)
    if how in BY_RANK:
        alike = [np.where(gone, np.nan, matrix) for matrix in matrices]
        np.testing.assert_array_equal(values, combined(alike, how), err_msg="ranks are among the heads that all have")


@given(languages_of(2, 4))
@settings(deadline=None, max_examples=40)
def test_worst_case_goes_by_the_largest_rank_then_by_the_mean(matrices: list[Array]) -> None:
    stack = np.stack(matrices)
    largest, mean = np.max([ranks(values) for values in matrices], axis=0), mean_ranks(stack)
    keys = {
        HeadId(int(layer), int(head)): (largest[layer, head], mean[layer, head], layer, head)
        for layer, head in np.argwhere(~np.isnan(largest))
    }
    assert list(rank(worst_ranks(stack))) == sorted(keys, key=lambda head: keys[head])


def test_the_mean_rank_never_outweighs_the_largest_rank() -> None:
    # head 0.0 ranks highest in one language and lowest in nine; 0.1 never highest alone, but half a rank below it in nine
    one = np.arange(30, 0, -1.0)[None]
    many = np.concatenate([[0.0], [40.0, 40.0], np.arange(1, 28)])[None]
    largest = np.max([ranks(one), ranks(many)], axis=0)
    assert (largest[0, 0], largest[0, 1]) == (30.0, 29.5)
    assert worst_ranks(np.stack([one, *[many] * 9]))[0, 0] > worst_ranks(np.stack([one, *[many] * 9]))[0, 1]


def test_ranks_average_ties_and_mean_ranks_average_languages() -> None:
    first, second = np.array([[3.0, 1.0], [1.0, np.nan]]), np.array([[0.1, 0.2], [0.3, np.nan]])
    np.testing.assert_array_equal(ranks(first), [[3, 1.5], [1.5, np.nan]])
    np.testing.assert_array_equal(combined([first, second], "mean-rank"), [[2, 1.75], [2.25, np.nan]])
    np.testing.assert_allclose(
        combined([first, second], "worst-case"), [[3 + 2 / 8, 2 + 1.75 / 8], [3 + 2.25 / 8, np.nan]], rtol=1e-15
    )


def largest_regret(matrices: Sequence[Array], gone: Sequence[HeadId]) -> float:
    """By the definition: what a source loses with `gone`, less its own best as many, as a share of its sum."""
    shares = []
    for values in matrices:
        present = values[~np.isnan(values)]
        lost = sum(values[head.layer, head.head] for head in gone) - np.sort(present)[: len(gone)].sum()
        shares.append(lost / np.abs(present).sum() if np.abs(present).sum() else 0.0)
    return max(shares)


@given(languages_of(1, 4))
@settings(deadline=None, max_examples=40)
def test_every_step_of_regret_is_the_least_that_can_be_added(matrices: list[Array]) -> None:
    order = rank(regret_places(np.stack(matrices)))
    for k in range(1, len(order) + 1):
        chosen = largest_regret(matrices, order[:k])
        assert all(chosen <= largest_regret(matrices, [*order[: k - 1], other]) + 1e-12 for other in order[k:])


def test_regret_first_prunes_the_head_with_the_least_worst_share_and_breaks_ties_by_address() -> None:
    one, other = np.array([[0.0, 2.0, 3.0, 5.0]]), np.array([[60.0, 30.0, 10.0, 0.0]])
    # worst shares: 0.6, 0.3, 0.3, 0.5; 0.1 is before 0.2
    assert str(rank(combined([one, other], "regret"))[0]) == "0.1"
    assert combined([one, other], "regret").tolist() == combined([one, other * 1000], "regret").tolist()
    equal = np.ones((2, 2))
    assert combined([equal, equal], "regret").tolist() == [[1, 2], [3, 4]]
    assert combined([equal * 0, one.reshape(2, 2)], "regret").tolist() == [[1, 2], [3, 4]], "nothing to lose in the first"


def test_regret_at_one_head_is_minimal_over_all_heads() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        matrices = list(rng.random((3, 3, 4)) ** 3)
        first = rank(regret_places(np.stack(matrices)))[0]
        by_head = {head: largest_regret(matrices, [head]) for head in rank(matrices[0])}
        assert by_head[first] == min(by_head.values())


def test_regret_spares_a_language_that_summing_sacrifices() -> None:
    # a small language needs head 0.0, which the large ones rank low; summing hardly sees it
    large, small = np.array([[1.0, 2.0, 50.0, 50.0]]), np.array([[0.9, 0.0, 0.1, 0.0]])
    assert str(rank(combined([large, large, small], "summed"))[0]) == "0.0"
    assert str(rank(combined([large, large, small], "regret"))[0]) == "0.1"


A = scores_of([[1.0, 2.0], [4.0, 4.0]], total=np.array([[1.0, 2.0], [4.0, 4.0]]), n=1, languages=("en",), seconds=1.0)
B = scores_of(
    [[3.0, 1.0], [0.0, 2.0]],
    total=np.array([[9.0, 3.0], [0.0, 6.0]]),
    signed=np.ones((2, 2)),
    n=3,
    languages=("de", "en"),
    seconds=2.0,
)


def test_merged_is_as_if_scored_in_one_pass() -> None:
    (merged,) = combine([A, B], "merged")
    np.testing.assert_allclose(merged.values, [[10 / 4, 5 / 4], [4 / 4, 10 / 4]])
    np.testing.assert_allclose(merged.total, [[10, 5], [4, 10]])
    assert (merged.n, merged.languages, merged.seconds, merged.signed) == (4, ("en", "de"), 3.0, None)
    (paper,) = combine([A, B], "merged", normalisation="paper")
    np.testing.assert_allclose(paper.values, normalise(merged.values, "paper"))


def test_summed_adds_finished_matrices() -> None:
    (summed,) = combine([A, B], "summed", normalisation="paper")
    np.testing.assert_allclose(summed.values, normalise(A.values, "paper") + normalise(B.values, "paper"))
    (plain,) = combine([A, B], "summed")
    np.testing.assert_allclose(plain.values, A.values + B.values)


def test_each_keeps_every_source() -> None:
    each = combine([A, B], "each", normalisation="paper")
    assert [item.languages for item in each] == [("en",), ("de", "en")]
    np.testing.assert_allclose(each[1].values, normalise(B.values, "paper"))
    np.testing.assert_allclose(each[1].total, B.total)
    np.testing.assert_allclose(each[1].signed, B.signed)


@pytest.mark.parametrize("how", BY_RANK)
def test_ranks_are_of_normalised_scores_and_keep_no_totals(how: str) -> None:
    (result,) = combine([A], how, normalisation="paper")  # type: ignore[arg-type]
    assert rank(result) == rank(A, normalisation="paper") != rank(A)
    assert (result.total, result.n, result.languages) == (None, 1, ("en",))
    assert result.settings == {"combined": how, "normalisation": "paper"}


def test_what_cannot_be_combined_is_said() -> None:
    with pytest.raises(SettingError, match="no scores"):
        combine([], "merged")
    with pytest.raises(SettingError, match="cannot be combined"):
        combine([A, scores_of([[1.0]])], "summed")
    with pytest.raises(SettingError, match="magnitude"):
        combine([A, HeadScores(A.values, "magnitude")], "summed")
    with pytest.raises(SettingError, match="gradient, mean-rank"):
        combine([A, *combine([A, B], "mean-rank")], "summed")
    with pytest.raises(SettingError, match="'magnitude' cannot be merged"):
        combine([HeadScores(A.values, "magnitude")], "merged")
    with pytest.raises(SettingError, match="expected merged, summed, each, mean-rank, worst-case or regret"):
        combine([A], "mean")  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ONE_RESULT)
def test_a_language_is_predicted_only_from_the_others(how: Combination) -> None:
    rng = np.random.default_rng(0)
    given_scores = dict(zip("abc", as_scores(list(rng.random((3, 4, 4)))), strict=True))
    found = leave_one_out(given_scores, how, k=4)
    assert list(found) == ["a", "b", "c"]
    others = combine([given_scores["a"], given_scores["c"]], how)[0]
    order, own = rank(others), rank(given_scores["b"])
    assert found["b"].lowest.value == len(set(order[:4]) & set(own[:4])) / 4
    assert found["b"].highest.value == len(set(order[-4:]) & set(own[-4:])) / 4
    places = [ranks(values).ravel() for values in (others.values, given_scores["b"].values)]
    assert found["b"].spearman.value == pytest.approx(np.corrcoef(places)[0, 1])


def test_similar_languages_predict_each_other_and_an_outlier_is_visible() -> None:
    ladder = np.arange(12.0).reshape(3, 4)
    found = leave_one_out({"a": scores_of(ladder), "b": scores_of(ladder**2), "odd": scores_of(-ladder)}, k=3)
    assert (found["odd"].spearman.value, found["odd"].lowest.value, found["odd"].highest.value) == (pytest.approx(-1), 0, 0)
    pair = leave_one_out({"a": scores_of(ladder), "b": scores_of(ladder**2)}, k=3)
    figures = [(item.spearman.value, item.lowest.value, item.highest.value) for item in pair.values()]
    assert figures == [(pytest.approx(1), 1, 1)] * 2


def test_only_heads_that_all_languages_have_are_predicted() -> None:
    ladder = np.arange(6.0).reshape(2, 3)
    holed, other = ladder.copy(), ladder.copy()
    holed[0, 0], other[1, 2] = np.nan, np.nan
    found = leave_one_out({"a": scores_of(holed), "b": scores_of(other), "c": scores_of(ladder)}, k=4)
    assert {item.lowest.value for item in found.values()} == {1.0}
    with pytest.raises(SettingError, match="k = 5: expected 1 to 4"):
        leave_one_out({"a": scores_of(holed), "b": scores_of(other), "c": scores_of(ladder)}, k=5)


def test_constant_scores_predict_nothing() -> None:
    found = leave_one_out({"a": scores_of(np.ones((2, 2))), "b": scores_of(np.eye(2))}, k=1)
    assert all(np.isnan([item.spearman.value, item.lowest.value, item.highest.value]).all() for item in found.values())


def test_leave_one_out_refuses_one_language_and_each() -> None:
    for items, how in (({"a": A}, "mean-rank"), ({"a": A, "b": B}, "each")):
        with pytest.raises(SettingError, match="expected two or more languages, and not 'each'"):
            leave_one_out(items, how, k=1)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="cannot be combined"):
        leave_one_out({"a": A, "b": scores_of([[1.0]])}, k=1)
