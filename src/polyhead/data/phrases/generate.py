"""Sentences of a part, drawn by seed, the same ones in every language: a list without repeats, or a stream of any length."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from polyhead.core.errors import SettingError
from polyhead.data.phrases.grammar import grammar
from polyhead.data.phrases.inventory import OPENER, Frame, inventory
from polyhead.data.phrases.parts import Ownership, Part, ownership
from polyhead.data.phrases.realise import NOTHING, Phrase, realised

SEED = 42
"""The seed of the files whose checksums the package holds."""
_NO_OPENER = 0.6
_TRIES = 200
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Draw:
    """A sentence before any language words it.

    Attributes:
        frame: What is said.
        fillers: By role, `opener` included.
    """

    frame: Frame
    fillers: Mapping[str, str] = field(hash=False)

    @property
    def key(self) -> str:
        """All that makes the sentence what it is, as text."""
        return "/".join((self.frame.name, *self.fillers.values()))


def draws(part: Part, *, seed: int = SEED, distinct: bool = True) -> Iterator[Draw]:
    """Sentences of a part without end, or until no new one is found.

    Args:
        part: Which part.
        seed: Of the split and of the order.
        distinct: No sentence twice; keeps them in mind, so take False for a long stream.
    """
    rng, owners, known = random.Random(f"{seed}/{part}"), ownership(seed), inventory()
    frames = owners.usable_frames(part, known)
    fillers = {name: owners.usable_fillers(part, name) for name in known.fillers}
    seen: set[str] = set()
    failures = 0
    while failures < _TRIES * len(frames):
        draw = _draw(_pick(rng, frames), fillers, rng)
        if _owner(draw, owners) != part or draw.key in seen:
            failures += 1
            continue
        failures = 0
        if distinct:
            seen.add(draw.key)
        yield draw


def _owner(draw: Draw, owners: Ownership) -> Part:
    return owners.owner(draw.frame, [draw.fillers[role.name] for role in draw.frame.roles], draw.key)


def _draw(frame: Frame, fillers: Mapping[str, tuple[str, ...]], rng: random.Random) -> Draw:
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
    # `random()` is the one method whose sequence Python promises to keep from version to version.
    return names[int(rng.random() * len(names))]


def phrases(language: str, part: Part, n: int, *, seed: int = SEED) -> list[Phrase]:
    """`n` different sentences of a part; the i-th says the same in every language.

    Raises:
        UnknownNameError: There is no such language.
        SettingError: The part has not so many.

    >>> " ".join(phrases("en", "train", 1)[0].words) != " ".join(phrases("de", "train", 1)[0].words)
    True
    """
    table = grammar(language)
    found = [realised(draw.frame, draw.fillers, table) for draw, _ in zip(draws(part, seed=seed), range(n), strict=False)]
    if len(found) < n:
        raise SettingError(f"{n} different phrases for {part}: the tables give {len(found)} under seed {seed}; ask for fewer")
    return found


def pretraining(languages: Sequence[str], n: int, *, seed: int = SEED) -> Iterator[tuple[Phrase, ...]]:
    """`n` sentences of the part `pretrain`, one after the other, each in all of `languages`: translations of one another.

    Streams: nothing is kept, so sentences of templates with few fillers come again. Their place in the stream is their id.

    >>> pair = next(pretraining(["en", "ja"], 1))
    >>> len(pair)
    2
    """
    tables = [grammar(language) for language in languages]
    for draw, _ in zip(draws("pretrain", seed=seed, distinct=False), range(n), strict=False):
        yield tuple([realised(draw.frame, draw.fillers, table) for table in tables])
