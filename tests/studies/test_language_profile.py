"""The entry of one language in heads.json from made-up shares."""

import numpy as np
import pytest

from polyhead.report.heads_form import PLACES
from polyhead.studies.attention_shares import Kind, Share
from polyhead.studies.language_profile import _as_record


@pytest.mark.parametrize(("n", "kept"), [(19, set()), (20, {"nsubj"})])
def test_rare_relations_and_those_of_one_direction_are_left_out(n: int, kept: set[str]) -> None:
    values = np.array([[0.123456, np.nan]])
    kinds: list[Kind] = [*PLACES, ("nsubj", "to_head"), ("nsubj", "to_dependent"), ("obj", "to_head")]
    record = _as_record({kind: Share(n, values, 0.25) for kind in kinds})
    assert {*record.shares} == {*record.even} == {*PLACES}
    assert record.shares["previous"] == [[0.12346, None]]
    assert {*record.relations} == kept
