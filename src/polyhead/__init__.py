"""polyhead: which attention heads of a multilingual Transformer matter, and cutting the rest.

Importing it makes Transformers' own `from_pretrained` load pruned checkpoints; names are imported when they are first used.
"""

from importlib import import_module

from polyhead.loader_hook import install_loader_hook

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

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'polyhead' has no attribute {name!r}; it has {', '.join(_HOMES)}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


install_loader_hook()
