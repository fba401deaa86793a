"""polyhead: which attention heads of a multilingual Transformer matter, and how to prune the rest.

`Tagger` is the object API, `run` the whole job; the functions that they call are here too.
Importing it lets Transformers' own `from_pretrained` load pruned checkpoints. Names are imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from polyhead.models.loader_hook import install_loader_hook

__all__ = [
    "METHODS",
    "Architecture",
    "Dataset",
    "ElasticSpec",
    "HeadId",
    "HeadMask",
    "HeadScores",
    "LabelSet",
    "Labelled",
    "NeuronMask",
    "PolyheadError",
    "SearchSpec",
    "Sentence",
    "Tagger",
    "Teacher",
    "TrainSpec",
    "densify",
    "elastic_plans",
    "encode",
    "evaluate",
    "export",
    "find_sites",
    "fit",
    "gated",
    "head_mask",
    "head_masks",
    "label_set",
    "load_tagger",
    "load_tokenizer",
    "neuron_mask",
    "open_corpus",
    "open_file",
    "pipeline",
    "predict",
    "prune",
    "prune_lowest",
    "rank",
    "read_scores",
    "register_architecture",
    "run",
    "run_settings",
    "sample",
    "save_pruned",
    "score_heads",
    "score_until_settled",
    "scoring_batches",
    "shrink",
    "task",
    "trim",
    "write_scores",
]

if TYPE_CHECKING:
    from polyhead.compression.vocabulary import trim
    from polyhead.core.errors import PolyheadError
    from polyhead.core.heads import HeadId, HeadMask, HeadScores
    from polyhead.core.neurons import NeuronMask
    from polyhead.core.specs import SearchSpec, TrainSpec
    from polyhead.data.corpora import open_corpus, open_file
    from polyhead.data.labels import LabelSet, label_set
    from polyhead.data.sampling import sample
    from polyhead.data.sentences import Dataset, Sentence
    from polyhead.data.tasks import task
    from polyhead.importance.methods import score_heads
    from polyhead.importance.table import METHODS
    from polyhead.importance.until_settled import score_until_settled
    from polyhead.learning.batching import scoring_batches
    from polyhead.learning.encoding import encode
    from polyhead.learning.inference import Labelled, evaluate, predict
    from polyhead.learning.teaching import Teacher
    from polyhead.learning.training import fit
    from polyhead.models.architectures import Architecture, register_architecture
    from polyhead.models.finding import find_sites
    from polyhead.models.gates import gated
    from polyhead.models.loading import load_tagger, load_tokenizer
    from polyhead.models.model_heads import head_mask
    from polyhead.models.model_neurons import neuron_mask
    from polyhead.models.named_masks import head_masks
    from polyhead.models.pruning import prune
    from polyhead.models.saving import densify, save_pruned
    from polyhead.selection.ranking import prune_lowest, rank
    from polyhead.selection.score_files import read_scores, write_scores
    from polyhead.studies.elastic import elastic_plans
    from polyhead.studies.elastic_spec import ElasticSpec
    from polyhead.studies.exporting import export
    from polyhead.studies.pipeline import pipeline
    from polyhead.studies.run import run
    from polyhead.studies.settings import run_settings
    from polyhead.studies.shrinking import shrink
    from polyhead.studies.tagger import Tagger

_MODULES = {
    "compression.vocabulary": "trim",
    "core.errors": "PolyheadError",
    "core.heads": "HeadId HeadMask HeadScores",
    "core.neurons": "NeuronMask",
    "core.specs": "SearchSpec TrainSpec",
    "data.corpora": "open_corpus open_file",
    "data.labels": "LabelSet label_set",
    "data.sampling": "sample",
    "data.sentences": "Dataset Sentence",
    "data.tasks": "task",
    "importance.methods": "score_heads",
    "importance.table": "METHODS",
    "importance.until_settled": "score_until_settled",
    "learning.batching": "scoring_batches",
    "learning.encoding": "encode",
    "learning.inference": "Labelled evaluate predict",
    "learning.teaching": "Teacher",
    "learning.training": "fit",
    "models.architectures": "Architecture register_architecture",
    "models.finding": "find_sites",
    "models.gates": "gated",
    "models.loading": "load_tagger load_tokenizer",
    "models.model_heads": "head_mask",
    "models.model_neurons": "neuron_mask",
    "models.named_masks": "head_masks",
    "models.pruning": "prune",
    "models.saving": "densify save_pruned",
    "selection.ranking": "prune_lowest rank",
    "selection.score_files": "read_scores write_scores",
    "studies.elastic": "elastic_plans",
    "studies.elastic_spec": "ElasticSpec",
    "studies.exporting": "export",
    "studies.pipeline": "pipeline",
    "studies.run": "run",
    "studies.settings": "run_settings",
    "studies.shrinking": "shrink",
    "studies.tagger": "Tagger",
}
_SOURCES = {name: f"polyhead.{module}" for module, names in _MODULES.items() for name in names.split()}

if not TYPE_CHECKING:  # a checker that saw it would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _SOURCES:
            raise AttributeError(f"module 'polyhead' has no attribute {name!r}; it has {', '.join(_SOURCES)}")
        value = getattr(import_module(_SOURCES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_SOURCES])


install_loader_hook()
