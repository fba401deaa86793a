"""Seeded sentences of a part, the same in every language: a list without repeats, or a stream of any length."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from itertools import accumulate
from typing import Final, Literal, TypeVar, get_args

from polyhead.core.errors import SettingError
from polyhead.data.phrases.grammar import grammar
from polyhead.data.phrases.inventory import OPENER, Frame, inventory
from polyhead.data.phrases.realise import NOTHING, Phrase, realised

SEED = 42
"""The seed of the files whose checksums the package holds."""
_NO_OPENER = 0.6
_TRIES = 200
_T = TypeVar("_T")
Part = Literal["pretrain", "train", "dev", "test"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)

# Every part may use what train owns; what another part owns is for that part only.
_SHARED: Final[Part] = "train"
_FRAME_SHARES: Final[Mapping[Part, float]] = {"pretrain": 0.12, "dev": 0.1, "test": 0.24}
_FILLER_SHARES: Final[Mapping[Part, float]] = {"pretrain": 0.1, "dev": 0.1, "test": 0.3}

# Sentences of shared templates and fillers only are assigned by a hash, in these shares of 100.
_HASHED: Final[Mapping[Part, int]] = {"pretrain": 50, "train": 32, "dev": 6, "test": 12}
_NONE: Final[Mapping[str, Set[str]]] = {}


@dataclass(frozen=True)
class Ownership:
    """The part that owns each template and filler.

    Attributes:
        seed: Seed of the assignment.
        frames: Part by frame.
        fillers: Part by class and filler; train owns all fillers of a closed class.
    """

    seed: int
    frames: Mapping[str, Part] = field(hash=False)
    fillers: Mapping[str, Mapping[str, Part]] = field(hash=False)

    def owner(self, draw: "Draw") -> Part:
        """The one part that a sentence belongs to."""
        owners = [self.frames[draw.frame.name]]
        owners += [self.fillers[role.filler_class][draw.fillers[role.name]] for role in draw.frame.roles]
        if own := [owner for owner in owners if owner != _SHARED]:
            return own[0]
        place = _number(f"{self.seed}/{draw.key}") % 100
        ends = zip(_HASHED, accumulate(_HASHED.values()), strict=True)
        return next(part for part, end in ends if place < end)


@cache
def ownership(seed: int) -> Ownership:
    """The ownership under that seed."""
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
    """The owner of each name; the last name with a label stays in train, which must show every label."""
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


@dataclass(frozen=True, slots=True)
class Draw:
    """A sentence independent of any language.

    Attributes:
        frame: Its template.
        fillers: By role, `opener` included.
    """

    frame: Frame
    fillers: Mapping[str, str] = field(hash=False)

    @property
    def key(self) -> str:
        """Text that identifies the sentence."""
        return "/".join((self.frame.name, *self.fillers.values()))


def draws(part: Part, *, seed: int = SEED, distinct: bool = True) -> Iterator[Draw]:
    """Endless sentences of a part, or, if `distinct`, until no new one is found.

    Args:
        part: A name in `PARTS`.
        seed: Seed of the ownership and the order.
        distinct: No sentence twice; this stores all of them, so use False for a long stream.
    """
    rng, owners, known = random.Random(f"{seed}/{part}"), ownership(seed), inventory()
    usable = (part, _SHARED)
    frames = [frame for name, frame in known.frames.items() if owners.frames[name] in usable]
    fillers = {kind: [name for name, owner in owners.fillers[kind].items() if owner in usable] for kind in known.fillers}
    seen: set[str] = set()
    failures = 0
    while failures < _TRIES * len(frames):
        draw = _draw(_pick(rng, frames), fillers, rng)
        if owners.owner(draw) != part or draw.key in seen:
            failures += 1
            continue
        failures = 0
        if distinct:
            seen.add(draw.key)
        yield draw


def _draw(frame: Frame, fillers: Mapping[str, Sequence[str]], rng: random.Random) -> Draw:
    chosen = {OPENER: NOTHING if rng.random() < _NO_OPENER else _pick(rng, fillers[OPENER])}
    taken: set[tuple[str, str]] = set()
    for role in frame.roles:
        kind = role.filler_class
        filler = _pick(rng, fillers[kind])
        while (kind, filler) in taken:
            filler = _pick(rng, fillers[kind])
        taken.add((kind, filler))
        chosen[role.name] = filler
    return Draw(frame, chosen)


def _pick(rng: random.Random, names: Sequence[_T]) -> _T:
    # `random()` is the only method whose sequence Python keeps the same across versions.
    return names[int(rng.random() * len(names))]


def phrases(language: str, part: Part, n: int, *, seed: int = SEED) -> list[Phrase]:
    """`n` different sentences of a part; those at the same index are translations of each other.

    Raises:
        UnknownNameError: There is no such language.
        SettingError: The part has fewer.

    >>> " ".join(phrases("en", "train", 1)[0].words) != " ".join(phrases("de", "train", 1)[0].words)
    True
    """
    table = grammar(language)
    found = [realised(draw.frame, draw.fillers, table) for draw, _ in zip(draws(part, seed=seed), range(n), strict=False)]
    if len(found) < n:
        raise SettingError(f"{n} different phrases for {part}: the tables give {len(found)} under seed {seed}; ask for fewer")
    return found


def pretraining(languages: Sequence[str], n: int, *, seed: int = SEED) -> Iterator[tuple[Phrase, ...]]:
    """`n` sentences of the part `pretrain`, each as a tuple of its translations into `languages`.

    Streams without storing anything, so sentences of templates with few fillers repeat. The position in the stream is the id.

    >>> pair = next(pretraining(["en", "ja"], 1))
    >>> len(pair)
    2
    """
    tables = [grammar(language) for language in languages]
    for draw, _ in zip(draws("pretrain", seed=seed, distinct=False), range(n), strict=False):
        yield tuple([realised(draw.frame, draw.fillers, table) for table in tables])
