"""Heads that languages share, heads specific to one, and how replicates settle them."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadId
from polyhead.selection.ranking import rank
from polyhead.selection.sharing import head_sharing

Array = NDArray[np.float64]


def named(*heads: str) -> tuple[HeadId, ...]:
    return tuple(map(HeadId.parse, heads))


def scored(*tops: str, n: int = 8) -> Array:
    """Replicates `[len(tops), 2, n / 2]` whose most important heads are those named, all others in order of address below."""
    found = np.tile(np.arange(n, dtype=np.float64).reshape(1, 2, n // 2), (len(tops), 1, 1))
    for values, top in zip(found, tops, strict=True):
        for head in named(*top.split()):
            values[head.layer, head.head] += 100
    return found


def test_shared_specific_and_unsettled_heads() -> None:
    # 0.0 is everywhere; 0.1 in en alone; 0.2 in half of de's replicates; 0.3 in de and fr, not in en
    found = head_sharing(
        {
            "en": scored(*["0.0 0.1 1.3"] * 10),
            "de": scored(*["0.0 0.3 0.2"] * 5, *["0.0 0.3 1.3"] * 5),
            "fr": scored(*["0.0 0.3 1.3"] * 10),
        },
        k=3,
    )
    end = found.highest
    assert end.shared == named("0.0")
    assert end.specific == {"en": named("0.1"), "de": (), "fr": ()}
    assert end.unsettled == named("0.2", "0.3", "1.3")
    assert end.nowhere == named("1.0", "1.1", "1.2")
    assert end.frequency["de"].tolist() == [[1, 0, 0.5, 1], [0, 0, 0, 0.5]]
    assert (found.share, found.n_heads) == (0.9, 8)


def test_the_lowest_heads_are_judged_by_themselves() -> None:
    found = head_sharing({"en": -scored("0.0 0.1"), "de": -scored("0.0 1.0")}, k=2)
    assert found.lowest.shared == named("0.0")
    assert found.lowest.specific == {"en": named("0.1"), "de": named("1.0")}
    assert found.highest.shared == named("0.2")
    assert found.highest.specific == {"en": named("0.3"), "de": named("0.1")}


@pytest.mark.parametrize(("hits", "is_shared"), [(9, True), (8, False)])
def test_the_share_is_reached_exactly(hits: int, is_shared: bool) -> None:
    often = scored(*["0.0 0.1"] * hits, *["0.0 1.0"] * (10 - hits))
    found = head_sharing({"en": often, "de": scored(*["0.0 0.1"] * 10)}, k=2).highest
    assert (HeadId(0, 1) in found.shared) is is_shared
    # one of ten is still seldom: 1 - 0.9 is a little below a tenth in floating point
    seldom = head_sharing({"en": often, "de": scored(*["0.0 1.1"] * 10)}, k=2).highest
    assert (HeadId(0, 1) in seldom.specific["en"]) is is_shared
    assert (HeadId(1, 0) in seldom.nowhere) is is_shared


@given(st.integers(1, 6), st.data())
@settings(deadline=None, max_examples=50)
def test_every_head_is_in_one_class_and_overlaps_are_means_over_pairs(k: int, data: st.DataObject) -> None:
    stack = data.draw(arrays(np.float64, (7, 2, 3), elements=st.integers(0, 9).map(float)))
    replicates = {"a": stack[:3], "b": stack[3:5], "c": stack[5:]}
    found = head_sharing(replicates, k=k, share=0.6)
    for end, cut in ((found.highest, np.s_[-k:]), (found.lowest, np.s_[:k])):
        classes = [end.shared, *end.specific.values(), end.nowhere, end.unsettled]
        assert sorted(head for heads in classes for head in heads) == sorted(rank(stack[0]))
        tops = {name: [set(rank(values)[cut]) for values in runs] for name, runs in replicates.items()}
        for name, runs in tops.items():
            assert end.within[name] == pytest.approx(np.mean([len(a & b) / k for a, b in combinations(runs, 2)]))
        for (one, other), overlap in end.between.items():
            assert overlap == pytest.approx(np.mean([len(a & b) / k for a, b in product(tops[one], tops[other])]))
        assert list(end.between) == [("a", "b"), ("a", "c"), ("b", "c")]


def test_one_replicate_has_no_stability() -> None:
    found = head_sharing({"en": scored("0.0 0.1"), "de": scored("0.0 0.1", "0.0 0.2")}, k=2).highest
    assert np.isnan(found.within["en"])
    assert (found.within["de"], found.between["en", "de"]) == (0.5, 0.75)


def test_heads_pruned_in_any_replicate_are_left_out() -> None:
    en, de = scored("0.0 0.1"), scored("0.0 0.1", "0.0 0.1")
    de[1, 0, 0] = np.nan
    found = head_sharing({"en": en, "de": de}, k=2)
    assert found.n_heads == 7
    assert found.highest.shared == named("0.1", "1.3")
    assert np.isnan(found.highest.frequency["en"]).tolist() == [[True, False, False, False], [False] * 4]
    with pytest.raises(SettingError, match="k = 8: expected 1 to 7"):
        head_sharing({"en": en, "de": de}, k=8)


def test_bad_replicates_are_refused() -> None:
    good = scored("0.0")
    for bad in ({"en": good}, {"en": good, "de": good[0]}, {"en": good, "de": good[:0]}, {"en": good, "de": good[:, :1]}):
        with pytest.raises(SettingError, match="expected two or more languages"):
            head_sharing(bad, k=1)
    for share in (0.5, 1.1):
        with pytest.raises(SettingError, match=r"more than 0\.5 and at most 1"):
            head_sharing({"en": good, "de": good}, k=1, share=share)


def test_replicates_keep_chance_from_looking_specific() -> None:
    # languages that differ in nothing: single runs show specific heads, replicates do not
    rng = np.random.default_rng(0)
    noise = {language: rng.normal(size=(20, 12, 12)) for language in ("en", "de")}
    single = head_sharing({language: values[:1] for language, values in noise.items()}, k=36).highest
    many = head_sharing(noise, k=36).highest
    assert sum(map(len, single.specific.values())) > 40
    assert (many.shared, many.specific) == ((), {"en": (), "de": ()})
    assert abs(many.within["en"] - many.between["en", "de"]) < 0.05
