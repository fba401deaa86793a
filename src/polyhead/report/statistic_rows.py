"""Gains as rows of a record."""

from polyhead.report.record import GainMinusNoise, Interval, MaskGain, NoiseGain, Statistic
from polyhead.selection import resampling
from polyhead.selection.gains import ArmGain
from polyhead.selection.statistics import SeedMean


def statistic_row(gain: ArmGain, language: str) -> Statistic:
    """The row of a gain; `language` is `mean` for a mean over targets."""
    found, noise = gain.found, gain.noise
    return Statistic(
        arm=gain.arm,
        name=gain.name,
        language=language,
        gain=found.value,
        n_seeds=len(gain.seeds),
        by_seed=list(found.by_seed),
        standard_error=found.standard_error,
        degrees_of_freedom=found.degrees_of_freedom,
        interval=bounds(found.interval),
        p=found.p,
        p_holm=gain.p_holm,
        detectable_gain=found.detectable,
        none_pruned=gain.none_pruned,
        noise=None if noise is None else NoiseGain(mean=noise.mean, standard_error=noise.standard_error),
        gain_minus_noise=None if gain.beyond is None else _beyond(*gain.beyond),
        of_mask=None if gain.of_mask is None else _of_mask(gain.of_mask),
    )


def bounds(interval: resampling.Interval | None) -> Interval | None:
    """Both ends of an interval."""
    return None if interval is None else (interval.low, interval.high)


def _beyond(value: float, interval: resampling.Interval) -> GainMinusNoise:
    return GainMinusNoise(value=value, interval=(interval.low, interval.high))


def _of_mask(found: SeedMean) -> MaskGain:
    return MaskGain(gain=found.value, by_seed=list(found.by_seed), interval=bounds(found.interval))
