"""Which part owns a template, a filler and a sentence, by a seed alone: nothing depends on order, machine or Python's version."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Final, Literal, get_args

from polyhead.data.phrases.inventory import Frame, Inventory, inventory

Part = Literal["pretrain", "train", "dev", "test"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)
# What train owns every part may use; what another part owns is that part's alone.
_SHARED: Final[Part] = "train"
_FRAME_SHARES: Final[Mapping[Part, float]] = {"pretrain": 0.12, "dev": 0.1, "test": 0.24}
_FILLER_SHARES: Final[Mapping[Part, float]] = {"pretrain": 0.1, "dev": 0.1, "test": 0.3}
# Sentences made of shared templates and fillers alone are dealt out by a hash, in these shares of 100.
_DEALT: Final[Mapping[Part, int]] = {"pretrain": 50, "train": 32, "dev": 6, "test": 12}
_NONE: Final[Mapping[str, Set[str]]] = {}


@dataclass(frozen=True)
class Ownership:
    """Who owns what.

    Attributes:
        seed: That decided it.
        frames: Part by frame.
        fillers: Part by class and filler; everything of a closed class is train's.
    """

    seed: int
    frames: Mapping[str, Part] = field(hash=False)
    fillers: Mapping[str, Mapping[str, Part]] = field(hash=False)

    def usable_frames(self, part: Part, known: Inventory) -> tuple[Frame, ...]:
        """The templates that a part may use, in the order of the table."""
        return tuple(frame for name, frame in known.frames.items() if self.frames[name] in (part, _SHARED))

    def usable_fillers(self, part: Part, filler_class: str) -> tuple[str, ...]:
        """The fillers of a class that a part may use, in the order of the table."""
        return tuple(name for name, owner in self.fillers[filler_class].items() if owner in (part, _SHARED))

    def owner(self, frame: Frame, fillers: Sequence[str], key: str) -> Part:
        """The part that a sentence is in, of those that may use its template and fillers.

        Args:
            frame: Its template.
            fillers: One for each role, in order.
            key: All that makes the sentence what it is.
        """
        owners = [self.frames[frame.name]]
        owners += [self.fillers[role.filler_class][filler] for role, filler in zip(frame.roles, fillers, strict=True)]
        own = next((owner for owner in owners if owner != _SHARED), None)
        return own if own is not None else _dealt(_number(f"{self.seed}/{key}") % 100)


@cache
def ownership(seed: int) -> Ownership:
    """What each part owns under that seed."""
    known = inventory()
    fillers: dict[str, Mapping[str, Part]] = {}
    for name, names in known.fillers.items():
        closed = name in known.closed
        fillers[name] = dict.fromkeys(names, _SHARED) if closed else _split(names, _FILLER_SHARES, f"{seed}/{name}")
    slots = {name: {role.slot for role in frame.roles if role.slot} for name, frame in known.frames.items()}
    return Ownership(seed, _split(tuple(known.frames), _FRAME_SHARES, f"{seed}/frames", slots), fillers)


def _split(
    names: tuple[str, ...], shares: Mapping[Part, float], key: str, labels: Mapping[str, Set[str]] = _NONE
) -> dict[str, Part]:
    """The owners of names; the last one that shows a label stays with train, as nobody learns a label that train never shows."""
    owners: dict[str, Part] = dict.fromkeys(names, _SHARED)
    shown = Counter(label for name in names for label in labels.get(name, ()))
    waiting = [part for part, share in shares.items() for _ in range(max(1, round(share * len(names))))]
    for name in sorted(names, key=lambda name: _number(f"{key}/{name}")):
        if waiting and all(shown[label] > 1 for label in labels.get(name, ())):
            owners[name] = waiting.pop(0)
            shown.subtract(labels.get(name, ()))
    return owners


def _number(key: str) -> int:
    return int.from_bytes(sha256(key.encode()).digest()[:8], "big")


def _dealt(place: int) -> Part:
    for part, share in _DEALT.items():
        if place < share:
            return part
        place -= share
    return _SHARED
