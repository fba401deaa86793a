"""The files of leases as every worker sees them, and the judgement whether the holder of one is gone."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from polyhead.core.processes import has_ended

HELD: Final = "held"
RELEASED: Final = "released"
_GENERATION = re.compile(r"(\d+)(\.tmp)?")
_LONGEST_BEAT: Final = 600.0  # seconds; more in a lease's file is taken for damage


def lease_file(folder: Path, stage: str, generation: int) -> Path:
    """Where the lease of this generation is."""
    return folder / f"{quote(stage, safe='')}.{generation}"


def lease_files(folder: Path, stage: str) -> list[tuple[int, Path]]:
    """Every file of the stage, unfinished ones (`.tmp`) too, with its generation; costs one listing of the folder."""
    start = f"{quote(stage, safe='')}."
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(start)]
    except FileNotFoundError:
        return []
    found = ((_GENERATION.fullmatch(name, len(start)), folder / name) for name in names)
    return [(int(match[1]), path) for match, path in found if match]


def newest_generation(folder: Path, stage: str) -> int:
    """The highest generation of the stage's leases; 0 if there is none."""
    return max((generation for generation, path in lease_files(folder, stage) if path.suffix != ".tmp"), default=0)


@dataclass(frozen=True)
class _Sight:
    generation: int
    raw: bytes
    looks: int  # that found it as it was, each a beat after the one before
    at: float


class Watch:
    """What one worker has seen of the leases that others hold.

    Args:
        folder: Where the leases are.
        beat: Seconds between heartbeats, if a lease's file does not say that it beats more slowly.
        patience: Looks without a change after which its holder is taken for gone.
        clock: Seconds that never go back.
    """

    def __init__(self, folder: Path, *, beat: float, patience: int, clock: Callable[[], float]) -> None:
        self._folder, self._beat, self._patience, self._clock = folder, beat, patience, clock
        self._seen: dict[str, _Sight] = {}

    def is_free(self, stage: str, generation: int) -> bool:
        """Whether the holder has given the stage back or is gone; each call is one look at it."""
        try:
            raw = lease_file(self._folder, stage, generation).read_bytes()
        except FileNotFoundError:  # just finished or taken over
            return False
        holder = _facts(raw)
        if holder.get("state") == RELEASED or has_ended(str(holder.get("process", ""))):
            return True
        now, seen = self._clock(), self._seen.get(stage)
        if seen is None or (seen.generation, seen.raw) != (generation, raw):
            seen = _Sight(generation, raw, 0, now)
        elif now - seen.at >= max(self._beat, _beat_of(holder)):
            seen = _Sight(generation, raw, seen.looks + 1, now)
        self._seen[stage] = seen
        return seen.looks >= self._patience

    def forget(self, stage: str) -> None:
        """Begin anew with this stage."""
        self._seen.pop(stage, None)


def _facts(raw: bytes) -> dict[str, Any]:
    """What a lease's file says; nothing if it is half written or damaged."""
    try:
        facts = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _beat_of(holder: dict[str, Any]) -> float:
    beat = holder.get("beat")
    return float(beat) if isinstance(beat, int | float) and 0 < beat <= _LONGEST_BEAT else 0.0
