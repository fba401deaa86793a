"""Write `language_distances.tsv` and `language_families.tsv` of `report/facts/` from URIEL's data in an unpacked lang2vec wheel.

    python scripts/language_distances.py FOLDER

FOLDER holds `lang2vec/data/*.npz` of lang2vec 1.1.2 (`pip download --no-deps lang2vec==1.1.2`, then unzip).
"""

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polyhead.data.corpora import CORPORA

# The language of each code: individual languages where URIEL's macrolanguages lack a family; Bokmål stands for Norwegian.
_CODES = """
af:afr am:amh ar:arb az:azj bg:bul bn:ben ca:cat cy:cym da:dan de:deu el:ell en:eng es:spa et:est eu:eus fa:pes fi:fin
fr:fra ha:hau he:heb hi:hin hu:hun hy:hye id:ind ig:ibo is:isl it:ita ja:jpn jv:jav ka:kat kk:kaz km:khm kn:kan ko:kor
lv:lav ml:mal mn:khk mr:mar ms:zsm my:mya nb:nor nl:nld pl:pol pt:por ro:ron ru:rus rw:kin sl:slv sq:als sr:srp sv:swe
sw:swh ta:tam te:tel th:tha tl:tgl tr:tur ur:urd vi:vie yo:yor zh:cmn
"""
CODES = dict(pair.split(":") for pair in _CODES.split())
KINDS = {"syntactic": ("S_",), "phonological": ("P_",), "inventory": ("INV_",), "featural": ("S_", "P_", "INV_")}
DEEPER = ("Indo-Iranian", "Balto-Slavic")  # branches that are known by their parts
SOURCE = """# Source: URIEL (Littell, Mortensen, Lin, Kairis, Turner and Levin 2017, "URIEL and lang2vec: Representing languages
# as typological, geographical, and phylogenetic vectors"), data of lang2vec 1.1.2, by P. Littell, D. Mortensen and
# A. Anastasopoulos.
# Licence of this file, as of its source: Creative Commons Attribution-ShareAlike 4.0 (CC BY-SA 4.0),
# https://creativecommons.org/licenses/by-sa/4.0/. Changed: computed by scripts/language_distances.py."""
DISTANCES = """# syntactic, phonological, inventory, featural (these three together): 1 - cosine of the feature vectors, missing
# features predicted by URIEL's k nearest neighbours. genetic: 1 - cosine of membership in the groups of the language's
# family. geographic: largest difference of distance to any of URIEL's 299 points of the globe, about the great-circle
# distance; 1 is half of the globe's circumference. Each 0 (equal) to 1."""

Array = NDArray[np.float64]


class Features:
    """One of URIEL's files: features of a language by its code."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as found:
            self.names = [str(name) for name in found["feats"]]
            self._place = {str(code): place for place, code in enumerate(found["langs"])}
            self._values = found["data"][:, :, 0].astype(np.float64)

    def of(self, code: str, prefixes: tuple[str, ...] = ("",)) -> Array:
        """A language's features whose names begin so."""
        return self._values[self._place[code], [name.startswith(prefixes) for name in self.names]]

    def groups(self, code: str) -> list[str]:
        """A language's groups, the largest first."""
        sizes, own = self._values.sum(axis=0), np.flatnonzero(self.of(code) > 0)
        return [self.names[place].removeprefix("F_") for place in sorted(own, key=lambda place: -sizes[place])]


def cosine_distance(a: Array, b: Array) -> float:
    """1 minus the cosine; 1 if either is zero."""
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return float(1 - a @ b / norm) if norm else 1.0


def main(folder: Path) -> None:
    """Write both files."""
    data, out = folder / "lang2vec" / "data", Path(__file__).parents[1] / "src" / "polyhead" / "report" / "facts"
    features, families = Features(data / "feature_predictions.npz"), Features(data / "family_features.npz")
    places = Features(data / "geocoord_features.npz")
    if missing := {row.language.partition("-")[0] for row in CORPORA.values()} - set(CODES):
        sys.exit(f"give the ISO 639-3 codes of {', '.join(sorted(missing))} in CODES")
    kinds = [*KINDS, "genetic", "geographic"]
    lines = ["# Distances between languages of the corpus table.", SOURCE, DISTANCES, "\t".join(["a", "b", *kinds])]
    for (a, one), (b, other) in combinations(sorted(CODES.items()), 2):
        found = [cosine_distance(features.of(one, kind), features.of(other, kind)) for kind in KINDS.values()]
        found.append(cosine_distance(families.of(one), families.of(other)))
        found.append(float(np.abs(places.of(one) - places.of(other)).max()))
        lines.append("\t".join([a, b, *(f"{max(value, 0.0):.3f}" for value in found)]))
    (out / "language_distances.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    lines = ["# Families of the languages of the corpus table.", SOURCE, "language\tfamily\tbranch"]
    for language, code in sorted(CODES.items()):
        groups = [group for group in families.groups(code) if group not in DEEPER] or ["isolate"]
        lines.append("\t".join([language, groups[0], groups[min(1, len(groups) - 1)]]))
    (out / "language_families.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
