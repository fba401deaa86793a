"""A tiny tagger, dev text of two languages, and a latency table that nobody measured."""

from functools import cache

from polyhead.compression.latency_table import LatencyTable
from polyhead.core.specs import TrainSpec
from polyhead.data.corpora import open_corpus
from polyhead.data.sampling import sample
from polyhead.data.sentences import Dataset
from polyhead.studies.tagger import Tagger

LANGUAGES = ("en", "de")
SHAPE = {"batch": 2, "length": 16}


def dev(n: int = 24) -> list[Dataset]:
    return [sample(open_corpus(f"phrases/{language}", "dev"), n, seed=1) for language in LANGUAGES]


def texts() -> dict[str, list[str]]:
    return {own.language: [" ".join(one.words) for one in own] for own in dev(100)}


@cache
def tagger() -> Tagger:
    """Trained for a moment, so that pruning costs something; do not change it."""
    found = Tagger.load("polyhead/tiny", task="pos", seed=42, device="cpu", precision="fp32")
    train = sample(open_corpus("phrases/en", "train"), 192, seed=1)
    found.fit(train, spec=TrainSpec(epochs=2))
    return found


def made_up_table(*, batch: int = SHAPE["batch"], length: int = SHAPE["length"]) -> LatencyTable:
    """As of the tiny model: four layers of 8 heads and 512 neurons, 2 ms beside 4 of attention and 8 of feed-forward blocks."""
    return LatencyTable(
        batch=batch,
        length=length,
        backend="torch",
        kernel="sdpa",
        precision="fp32",
        threads=1,
        device="cpu",
        machine={},
        n_layers=4,
        fixed=2.0,
        attention=((0, 0.0), (8, 1.0)),
        feed_forward=((0, 0.0), (16, 0.0625), (512, 2.0)),
        points=(),
    )
