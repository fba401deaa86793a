"""Loading models, configs and tokenizers, with a new or the stored classifier and clear errors."""

import copy
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, cast

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from polyhead.core.arguments import PATH, require
from polyhead.core.errors import CheckpointError
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import LabelKind, Task
from polyhead.models import pruning_record
from polyhead.models.architectures import ARCHITECTURES
from polyhead.models.checks import (
    CONFIG,
    COPY_AGAIN,
    check_finite,
    check_shapes,
    check_sizes,
    check_unused,
    check_vocabulary,
    lacks_pooler,
    read_object,
    weight_files,
)
from polyhead.models.classifiers import (
    CLASSIFIERS,
    POOLER,
    check_encoder,
    classifier_labels,
    draw_head,
    name_outputs,
    new_modules,
    reorder_head,
    what_to_do,
)
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.finding import find_recorded, find_sites
from polyhead.models.model_heads import full_mask
from polyhead.models.other_records import read_old_record
from polyhead.models.pruning import prune_to_record
from polyhead.models.sources import checkpoint_folder, reading

Kernel = Literal["sdpa", "eager"]


def load_tagger(
    name: str | Path,
    *,
    labels: LabelSet | None,
    seed: int | None = None,
    revision: str | None = None,
    kernel: Kernel = "sdpa",
    kind: LabelKind = "tag",
) -> PreTrainedModel:
    """A classifier of tokens, or of sentences, in float32 and eval mode, pruned or not; no downloaded code is run.

    A stored classifier with the same labels, in any order, is kept and its rows follow `labels`. Otherwise the classifier is new:
    normal with the config's `initializer_range`, biases zero. A new sentence classifier is the whole of what Transformers puts on
    the encoder: where it has a layer before the labels (RoBERTa), or the weights lack BERT's pooler, that is new too.

    Args:
        name: Folder, or hub id (HF_HOME and offline mode are respected).
        labels: Labels of the classifier; None requires a stored classifier and keeps it as it is.
        seed: Of a new classifier; None draws from torch's global generator.
        revision: Branch, tag or commit on the Hub.
        kernel: Attention implementation; families that have only `eager` use it.
        kind: Kind of the task's labels, `Task.kind`: `sentence` loads `AutoModelForSequenceClassification`, `masked`
            `AutoModelForMaskedLM`, whose head must be stored.

    Raises:
        ArchitectureError: The family has no row and where its heads are could not be proven; or no classifier of this kind.
        CheckpointError: Not found; no safetensors weights; corrupt files or record; encoder weights that are missing, NaN or
            infinite; or no classifier.

    >>> import polyhead as ph
    >>> model = load_tagger("polyhead/tiny", labels=ph.LabelSet(("O", "B-PER", "I-PER")), seed=42)
    >>> model.config.id2label
    {0: 'O', 1: 'B-PER', 2: 'I-PER'}
    """
    require(name=(name, PATH), labels=(labels, LabelSet | None), seed=(seed, Integral | None))
    folder = checkpoint_folder(name, revision=revision)
    config = _config(folder)
    stored = classifier_labels(config, kind)
    what, _, auto = CLASSIFIERS[kind]
    if stored is None and (labels is None or kind == "masked"):
        raise CheckpointError(f"{name}: has no {what} ({config.architectures}); {what_to_do(kind)}")
    keep = stored is not None and (labels is None or kind == "masked" or set(stored) == set(labels.names))
    if not keep and labels is not None:
        name_outputs(config, labels.names)
    missing: list[str] = []
    model = _load(name, folder, auto, config, kernel, dtype=torch.float32, new_classifier=None if keep else kind, missing=missing)
    if not keep:
        draw_head(model, kind, seed, missing)
    elif labels is not None and kind != "masked" and stored != labels.names:
        reorder_head(model, kind, cast(tuple[str, ...], stored), labels.names)
    check_finite(model, name)
    return model


def _config(folder: Path) -> PretrainedConfig:
    kind = read_object(folder / CONFIG).get("model_type")
    if isinstance(kind, str) and kind not in CONFIG_MAPPING:
        step = "use a newer Transformers, or a model of another type; polyhead runs no code that comes with a checkpoint"
        raise CheckpointError(
            f"{folder / CONFIG}: model_type {kind[:60]!r}: Transformers {transformers.__version__} has no such type; {step}"
        )
    found = reading(folder / CONFIG, lambda: AutoConfig.from_pretrained(folder, trust_remote_code=False), do=COPY_AGAIN)
    return cast(PretrainedConfig, found)


def _has_sdpa(kind: Any, config: PretrainedConfig) -> bool:
    mapping = getattr(kind, "_model_mapping", None)  # of an Auto class
    return bool(getattr(kind if mapping is None else mapping.get(type(config), kind), "_supports_sdpa", True))


def _empty(kind: Any, config: PretrainedConfig) -> PreTrainedModel:
    """A model without weights, of a class or an Auto class."""
    with torch.device("meta"):
        own = copy.deepcopy(config)
        return cast(PreTrainedModel, kind.from_config(own) if hasattr(kind, "from_config") else kind(own))


def _load(
    name: str | Path,
    folder: Path,
    kind: Any,
    config: PretrainedConfig,
    kernel: Kernel,
    *,
    dtype: torch.dtype | Literal["auto"],
    new_classifier: LabelKind | None = None,
    missing: list[str] | None = None,
) -> PreTrainedModel:
    """A model of a Transformers class; its files are checked against its config before any weight is read.

    Weights that they lack because the classifier is new are added to `missing`.
    """

    def load() -> PreTrainedModel:
        files = weight_files(folder)
        check_sizes(config, files)
        # the one in config.json may make Transformers download code
        config._attn_implementation = kernel if _has_sdpa(kind, config) else "eager"
        shape = reading(folder / CONFIG, lambda: _empty(kind, config), do=COPY_AGAIN)
        check_encoder(shape)
        find_recorded(shape, getattr(config, pruning_record.KEY, None) or {})
        read_old_record(config)
        if hasattr(config, pruning_record.KEY):
            prune_to_record(shape, getattr(config, pruning_record.KEY), folder=config.name_or_path)
        but = new_modules(shape, new_classifier)
        for path in files:
            check_shapes(shape, path, but=but)
        # Transformers would add a random pooler to an encoder that was saved without one
        without = {"add_pooling_layer": False} if lacks_pooler(shape, files) else {}
        model, report = kind.from_pretrained(
            folder,
            **without,
            config=config,
            dtype=dtype,
            attn_implementation=config._attn_implementation,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=new_classifier is not None,
            output_loading_info=True,
        )
        new = (*but, f"{shape.base_model_prefix}.{POOLER}") if new_classifier == "sentence" else but
        lost = sorted(key for key in report["missing_keys"] if not key.startswith(tuple(f"{module}." for module in new)))
        if missing is not None:
            missing.extend(report["missing_keys"])
        if lost:
            raise CheckpointError(f"{name}: the weights lack {len(lost)} tensors of the model, such as {lost[0]}; {COPY_AGAIN}")
        check_unused(model, report["unexpected_keys"])
        if not hasattr(config, pruning_record.KEY):
            find_sites(model)
        choice, shape = EncodingChoice.read(folder), full_mask(model).shape
        if choice and choice.shape not in (None, shape):
            wrong = f"{choice.shape} layers and heads in {choice.FILE}, but {shape} in {CONFIG}"
            raise CheckpointError(f"{name}: {wrong}; use the {CONFIG} saved with these weights")
        return cast(PreTrainedModel, model)

    with torch.random.fork_rng(devices=[]):  # Transformers draws missing weights; a new classifier is drawn afterwards
        return reading(name, load, do=COPY_AGAIN)


def load_config(name: str | Path, *, revision: str | None = None, kind: LabelKind | None = None) -> PretrainedConfig:
    """The config of a folder or hub id; no weights are read.

    Args:
        name: Folder, or hub id.
        revision: Branch, tag or commit on the Hub.
        kind: Kind of the task's labels. If given, a family without a row gets one as in `load_tagger`, for what reads the row.

    Raises:
        ArchitectureError: With `kind`: the family has no row and where its heads are could not be proven.
        CheckpointError: Not found, or Transformers cannot read the config.
    """
    folder = checkpoint_folder(name, revision=revision, weights=False)
    config = _config(folder)
    if kind is not None and config.model_type not in ARCHITECTURES:
        with torch.random.fork_rng(devices=[]):
            shape = reading(folder / CONFIG, lambda: _empty(CLASSIFIERS[kind][2], config), do=COPY_AGAIN)
            reading(name, lambda: find_recorded(shape, getattr(config, pruning_record.KEY, None) or {}), do=COPY_AGAIN)
    return config


def load_tokenizer(name: str | Path, *, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The fast tokenizer of a folder or hub id.

    Raises:
        CheckpointError: Not found, no tokenizer, only a slow one, or one with ids that the model does not embed.

    >>> load_tokenizer("polyhead/tiny").pad_token
    '<pad>'
    """
    require(name=(name, PATH))
    folder = checkpoint_folder(name, revision=revision, weights=False)
    advice = "copy the tokenizer that the model was trained with"
    try:
        tokenizer = reading(
            f"{name}: tokenizer", lambda: AutoTokenizer.from_pretrained(folder, trust_remote_code=False), do=advice
        )
    except CheckpointError:
        if (folder / "tokenizer.json").is_file():
            raise
        raise CheckpointError(f"{name}: has no tokenizer.json; {advice}") from None
    if not getattr(tokenizer, "is_fast", False):
        raise CheckpointError(f"{name}: has no fast tokenizer; save one with a tokenizer.json")
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # Transformers' stand-in for missing files
        raise CheckpointError(f"{name}: has no tokenizer (no tokenizer.json); {advice}")
    check_vocabulary(tokenizer.get_vocab(), _config(folder))
    return cast(PreTrainedTokenizerBase, tokenizer)


def check_classifier(name: str, task: Task, *, labels: LabelSet | None = None, revision: str | None = None) -> None:
    """Refuse a checkpoint whose classifier does not fit the task; no weights are read.

    Args:
        name: Folder or hub id.
        task: Labels must be among its own; spans must be in IOB2; a task without labels of its own takes any sentence classifier.
        labels: The labels required, in any order; None for any that fit the task.
        revision: Branch, tag or commit on the Hub.

    Raises:
        CheckpointError: There is no classifier, or its labels do not fit.
    """
    stored = classifier_labels(load_config(name, revision=revision), task.kind)
    if stored is None:
        python = "" if task.kind == "masked" else " (Python: or give seed=)"
        raise CheckpointError(f"{name}: has no {CLASSIFIERS[task.kind][0]}; {what_to_do(task.kind)}{python}")
    if task.kind == "masked":
        return
    shown = " ".join(stored[:8]) + (" ..." if len(stored) > 8 else "")
    if labels is not None and set(labels.names) != set(stored):
        raise CheckpointError(f"{name}: predicts {shown}; expected {' '.join(labels.names)}; give a seed for a new classifier")
    spans = "O" in stored and all(label == "O" or (label[:2] in ("B-", "I-") and len(label) > 2) for label in stored)
    if not (set(stored) <= set(task.labels) if task.labels else spans or task.kind == "sentence"):
        expected = f"some of {' '.join(task.labels)}" if task.labels else "O and B-TYPE, I-TYPE"
        raise CheckpointError(f"{name}: predicts {shown}; task {task.name} needs {expected}; fine-tune it with polyhead fit")


def load_saved(name: str | Path, *, revision: str | None = None, kernel: Kernel = "sdpa") -> PreTrainedModel:
    """The model of a folder or hub id in the class and dtype it was saved with.

    Raises:
        ArchitectureError: The family has no row, and where its heads are could not be proven.
        CheckpointError: Not found, corrupt, or of a class outside Transformers.
    """
    folder = checkpoint_folder(name, revision=revision)
    config = _config(folder)
    kind = getattr(transformers, (config.architectures or ["AutoModel"])[0], None)
    if not hasattr(kind, "from_pretrained"):
        raise CheckpointError(f"{name}: architectures is {config.architectures}; expected a Transformers class; save it with one")
    if (expected := getattr(kind, "config_class", None)) and not isinstance(config, expected):
        wrong = f"architectures is {config.architectures}, but model_type is {config.model_type!r}"
        raise CheckpointError(f"{name}: {wrong}; use the {CONFIG} saved with these weights")
    model = _load(name, folder, kind, config, kernel, dtype="auto")
    check_finite(model, name)
    return model
