"""polyhead: which attention heads of a multilingual Transformer matter, and cutting the rest.

Importing it makes Transformers' own `from_pretrained` load pruned checkpoints; names are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from polyhead.models.loader_hook import install_loader_hook

__all__ = [
    "HeadMask",
    "HeadScores",
    "TrainSpec",
    "densify",
    "encode",
    "evaluate",
    "fit",
    "gated",
    "label_set",
    "load_tagger",
    "load_tokenizer",
    "open_corpus",
    "prune",
    "prune_lowest",
    "run",
    "run_settings",
    "save_pruned",
    "score_heads",
    "scoring_batches",
    "task",
]

if TYPE_CHECKING:
    from polyhead.core.heads import HeadMask, HeadScores
    from polyhead.core.specs import TrainSpec
    from polyhead.data.corpora import open_corpus
    from polyhead.data.labels import label_set
    from polyhead.data.tasks import task
    from polyhead.importance.methods import score_heads
    from polyhead.learning.batching import scoring_batches
    from polyhead.learning.encoding import encode
    from polyhead.learning.inference import evaluate
    from polyhead.learning.training import fit
    from polyhead.models.gates import gated
    from polyhead.models.loading import load_tagger, load_tokenizer
    from polyhead.models.pruning import prune
    from polyhead.models.saving import densify, save_pruned
    from polyhead.selection.ranking import prune_lowest
    from polyhead.studies.run import run
    from polyhead.studies.settings import run_settings

_HOMES = {
    "HeadMask": "polyhead.core.heads",
    "HeadScores": "polyhead.core.heads",
    "TrainSpec": "polyhead.core.specs",
    "densify": "polyhead.models.saving",
    "encode": "polyhead.learning.encoding",
    "evaluate": "polyhead.learning.inference",
    "fit": "polyhead.learning.training",
    "gated": "polyhead.models.gates",
    "label_set": "polyhead.data.labels",
    "load_tagger": "polyhead.models.loading",
    "load_tokenizer": "polyhead.models.loading",
    "open_corpus": "polyhead.data.corpora",
    "prune": "polyhead.models.pruning",
    "prune_lowest": "polyhead.selection.ranking",
    "run": "polyhead.studies.run",
    "run_settings": "polyhead.studies.settings",
    "save_pruned": "polyhead.models.saving",
    "score_heads": "polyhead.importance.methods",
    "scoring_batches": "polyhead.learning.batching",
    "task": "polyhead.data.tasks",
}

if not TYPE_CHECKING:  # a checker that saw it would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'polyhead' has no attribute {name!r}; it has {', '.join(_HOMES)}")
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


install_loader_hook()
