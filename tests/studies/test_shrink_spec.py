"""What can be asked of `shrink`, as text and as numbers, and one line for what cannot."""

import pytest

from polyhead.core.errors import SettingError
from polyhead.studies.shrink_spec import ShrinkSpec, milliseconds, wanted_bytes


@pytest.mark.parametrize(("given", "wanted"), [("20ms", 20.0), ("0.5 s", 500.0), ("900us", 0.9), (12.5, 12.5), ("12.5", 12.5)])
def test_times(given: str | float, wanted: float) -> None:
    assert milliseconds(given) == pytest.approx(wanted)
    assert ShrinkSpec(latency=given).times


@pytest.mark.parametrize(("given", "wanted"), [("60MB", 6e7), ("1.5 gb", 1.5e9), ("800kB", 8e5), ("0.35", 70.0), (0.5, 100.0)])
def test_sizes(given: str | float, wanted: float) -> None:
    assert wanted_bytes(given, 200.0) == pytest.approx(wanted)
    assert not ShrinkSpec(size=given).times


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "nothing is asked for: give speedup"),
        ({"speedup": 2.0, "latency": "20ms"}, "speedup = 2.0: and latency 20ms ask for the same"),
        ({"speedup": 1.0}, "speedup = 1.0: should be greater than 1"),
        ({"latency": "20 minutes"}, "latency: '20 minutes': expected a time above 0, such as 20ms"),
        ({"latency": "-3ms"}, "latency: '-3ms': expected a time"),
        ({"size": "60"}, "size: '60': expected a size such as 60MB, or a share"),
        ({"size": 1.0}, "size: 1.0: expected a size"),
        ({"size": "0MB"}, "size: '0MB': expected a size"),
        ({"speedup": 2.0, "keep": "heads,neurons"}, "keep = heads neurons: leaves nothing that saves time"),
        ({"size": 0.5, "keep": ["heads", "neurons,vocabulary"]}, "keep = heads neurons vocabulary: leaves nothing that could go"),
        ({"size": 0.5, "keep": "layers"}, "keep = 'layers': should be 'heads', 'neurons' or 'vocabulary'"),
        ({"size": 0.5, "coverage": 0.0}, "coverage = 0.0: should be greater than 0"),
    ],
)
def test_what_cannot_be_asked_for(settings: dict, said: str) -> None:
    with pytest.raises(SettingError) as error:
        ShrinkSpec(**settings)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_kept_is_not_pruned() -> None:
    assert ShrinkSpec(speedup=2.0, keep="vocabulary, neurons").parts == ("heads",)
    assert ShrinkSpec(size=0.5, keep=("heads", "neurons")).parts == ()
