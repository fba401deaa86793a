"""Random labelled sentences, and models of which it is known which heads matter, for tests of importance methods."""

from dataclasses import replace

import numpy as np
import torch
from conformance.tiny import N_LABELS, PAD, VOCABULARY, tiny_model
from torch import nn
from transformers import PreTrainedModel

from polyhead.core.heads import HeadId, HeadMask
from polyhead.learning.encoded import Encoded, EncodingCounts, Window
from polyhead.models.gates import gated
from polyhead.models.model_heads import attention_sites

RMS_NORMED = ("eurobert", "eurobert+one-key", "t5", "mt5", "umt5")
# the module whose output is the lowest layer's input, by the name that some family gives it
INTO_LAYERS = (
    "embeddings_project",
    "encoder.embedding_hidden_mapping_in",
    "embeddings.LayerNorm",
    "embeddings.norm",
    "layer_norm_emb",
    "embeddings.word_embeddings",
    "embed_tokens",
    "shared",
)
PLANTED = HeadId(0, 2)
DEAD = HeadId(1, 1)
LENGTHS = (5, 9, 3, 12, 7, 9, 4)


def tiny_encoded(*, seed: int = 0, windowed: int | None = 3, unlabelled: int | None = 5) -> Encoded:
    """Seven sentences; one has two windows, one no label, and every third word of the others none either."""
    random = np.random.default_rng(seed)
    windows, words = [], []
    for sentence, length in enumerate(LENGTHS):
        ids = random.integers(PAD + 1, VOCABULARY, size=length, dtype=np.int32)
        labels = random.integers(0, N_LABELS, size=length - 2, dtype=np.int32)
        labels[2::3] = -100
        if sentence == unlabelled:
            labels[:] = -100
        cuts = [(1, length // 2), (length // 2, length - 1)] if sentence == windowed else [(1, length - 1)]
        for start, end in cuts:
            own = np.arange(start, end, dtype=np.int32)
            # windows overlap by one piece on either side
            low, high = max(start - 1, 0), min(end + 1, length)
            windows.append(Window(sentence, ids[low:high], own - low, own - 1, labels[own - 1]))
        words.append(length - 2)
    return Encoded(tuple(windows), tuple(words), EncodingCounts(words=sum(words)), PAD)


def random_encoded(n: int, *, seed: int = 0, longest: int = 16) -> Encoded:
    """Sentences of 3 to `longest` random tokens, every word labelled at random."""
    random = np.random.default_rng(seed)
    windows = []
    for sentence, length in enumerate(random.integers(3, longest + 1, size=n).tolist()):
        ids = random.integers(PAD + 1, VOCABULARY, size=length, dtype=np.int32)
        labels = random.integers(0, N_LABELS, size=length - 2, dtype=np.int32)
        words = np.arange(length - 2, dtype=np.int32)
        windows.append(Window(sentence, ids, words + 1, words, labels))
    counts = tuple(len(window.anchor_words) for window in windows)
    return Encoded(tuple(windows), counts, EncodingCounts(words=sum(counts)), PAD)


def planted_model(model_type: str) -> PreTrainedModel:
    """Only `PLANTED` can change the logits: what the others write is loud, but layer norm takes all of it away.

    A head whose output columns are multiples of the all-ones vector shifts the mean of the layer's output and nothing else.
    The planted head's slice of the layer's *input* is made nearly silent, which is what a score on the wrong axis looks at.
    Norms that do not take away the mean need another plant: in `RMS_NORMED` families the others write nothing.
    """
    model = tiny_model(model_type, dtype=torch.float64)
    loud = 0 if model_type in RMS_NORMED else 3
    with torch.no_grad():
        for site in attention_sites(model):
            for head, columns in zip(site.kept, site.head_columns(), strict=True):
                if HeadId(site.layer, head) != PLANTED:
                    site.output.weight[:, columns] = loud * torch.ones_like(site.output.weight[:, columns])
        last = next(module for path in INTO_LAYERS if (module := _found(model.base_model, path)) is not None)
        own = attention_sites(model)[0].head_columns()[PLANTED.head]
        if isinstance(last, nn.Embedding):
            last.weight[:, own] *= 0.01
        else:
            last.weight[own] *= 0.01
            if last.bias is not None:
                last.bias[own] *= 0.01
    return model


def _found(module: nn.Module, path: str) -> nn.Module | None:
    try:
        return module.get_submodule(path)
    except AttributeError:
        return None


def planted_encoded(model: PreTrainedModel) -> Encoded:
    """The sentences of `tiny_encoded`, labelled words with what `PLANTED` speaks for most, so that it lowers the loss."""
    encoded, windows = tiny_encoded(), []
    for window in encoded.windows:
        ids = torch.from_numpy(window.input_ids).long()[None]
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0]
            with gated(model, HeadMask.without(3, 4, [PLANTED])):
                without = model(input_ids=ids).logits[0]
        spoken = (logits.log_softmax(-1) - without.log_softmax(-1)).argmax(-1).numpy()[window.anchor_positions]
        windows.append(replace(window, label_ids=np.where(window.label_ids == -100, -100, spoken).astype(np.int32)))
    return replace(encoded, windows=tuple(windows))


def model_with_dead_head(model_type: str) -> PreTrainedModel:
    """What `DEAD` computes is multiplied by zero on its way out."""
    model = tiny_model(model_type, dtype=torch.float64)
    site = attention_sites(model)[DEAD.layer]
    with torch.no_grad():
        site.output.weight[:, site.head_columns()[DEAD.head]] = 0
    return model
