"""A tiny tagger's data with gold labels of every kind: known, missing, and known to nobody but the data."""

from conformance.scoring_case import tiny_encoded

from polyhead.data.labels import LabelSet
from polyhead.learning.encoded import join
from polyhead.learning.inference import Labelled

LABELS = {"pos": LabelSet(("ADJ", "ADP", "ADV", "AUX", "NOUN")), "ner": LabelSet(("O", "B-PER", "I-PER", "B-LOC", "I-LOC"))}
FOREIGN = {"pos": "PUNCT", "ner": "B-MISC"}


def labelled(task: str, *, seed: int = 0) -> Labelled:
    """Fourteen sentences; every third word has no gold label, and one word has a label that the model does not know."""
    encoded = join([tiny_encoded(seed=seed + part) for part in (0, 10)])
    gold: list[list[str | None]] = [[None] * n for n in encoded.words_per_sentence]
    for window in encoded.windows:
        for word, label in zip(window.anchor_words.tolist(), window.label_ids.tolist(), strict=True):
            if label >= 0:
                gold[window.sentence][word] = LABELS[task].names[label]
    gold[5][0] = FOREIGN[task]  # a sentence whose other words have no label
    return Labelled(encoded, gold)
