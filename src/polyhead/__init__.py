"""polyhead: which attention heads of a multilingual Transformer matter, and cutting the rest.

Importing it makes Transformers' own `from_pretrained` load pruned checkpoints; names are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from polyhead.loader_hook import install_loader_hook

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
    from polyhead.batching import scoring_batches
    from polyhead.checkpoint import densify, load_tagger, load_tokenizer, save_pruned
    from polyhead.config import TrainSpec
    from polyhead.data.corpora import open_corpus
    from polyhead.data.labels import label_set
    from polyhead.encoding import encode
    from polyhead.gates import gated
    from polyhead.heads import HeadMask, HeadScores
    from polyhead.importance.methods import score_heads
    from polyhead.inference import evaluate
    from polyhead.pruning import prune
    from polyhead.ranking import prune_lowest
    from polyhead.studies.grid import run_settings
    from polyhead.studies.run import run
    from polyhead.tasks import task
    from polyhead.training import fit

_HOMES = {
    "HeadMask": "polyhead.heads",
    "HeadScores": "polyhead.heads",
    "TrainSpec": "polyhead.config",
    "densify": "polyhead.checkpoint",
    "encode": "polyhead.encoding",
    "evaluate": "polyhead.inference",
    "fit": "polyhead.training",
    "gated": "polyhead.gates",
    "label_set": "polyhead.data.labels",
    "load_tagger": "polyhead.checkpoint",
    "load_tokenizer": "polyhead.checkpoint",
    "open_corpus": "polyhead.data.corpora",
    "prune": "polyhead.pruning",
    "prune_lowest": "polyhead.ranking",
    "run": "polyhead.studies.run",
    "run_settings": "polyhead.studies.grid",
    "save_pruned": "polyhead.checkpoint",
    "score_heads": "polyhead.importance.methods",
    "scoring_batches": "polyhead.batching",
    "task": "polyhead.tasks",
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
