"""The uncertainty of a pooled dev score, from made-up counts."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from polyhead.data.tasks import TASKS
from polyhead.studies.evaluations import Figures, standard_error


def error_of(*names: str) -> float:
    counts = np.zeros((60, 5), dtype=np.int64)
    counts[:, 0], counts[:, 1] = np.random.default_rng(0).binomial(20, 0.7, size=60), 20
    context: Any = SimpleNamespace(inputs=SimpleNamespace(task=TASKS["pos"], languages={name: name for name in names}))
    return standard_error(context, {name: Figures({}, counts, 0) for name in names})


def test_translations_bring_no_new_sentences() -> None:
    one = error_of("phrases/de")
    assert error_of("phrases/de", "phrases/nl") == pytest.approx(one)
    assert error_of("ud/de_gsd", "ud/nl_alpino") == pytest.approx(one / np.sqrt(2))
    assert error_of("phrases/de", "ud/nl_alpino") == pytest.approx(one / np.sqrt(2))
