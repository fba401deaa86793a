"""Where a model's files lie, and reading them through Transformers with one-line errors and no noise."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

from huggingface_hub import snapshot_download
from huggingface_hub.utils import logging as hub_logging
from transformers.utils import logging as transformers_logging

from polyhead.core.errors import CheckpointError, PolyheadError
from polyhead.models.checks import INDEX, WEIGHTS, check_stored_config, weight_files
from polyhead.models.names import OWN_ENCODERS, is_hub_id, is_local, model_folder

T = TypeVar("T")
_SMALL = ["*.json", "*.txt", "*.model"]  # configs, records, and vocabularies of every kind of tokenizer
_WEIGHTS = [WEIGHTS, INDEX, "model-*-of-*.safetensors"]


def checkpoint_folder(name: str | Path, *, revision: str | None = None, weights: bool = True) -> Path:
    """The folder of a model's files: the one named, an own encoder's, or the snapshot of a model on the Hub, downloaded once.

    Within a process a hub id stands for one commit, that of its first use, which is the snapshot folder's name.

    Args:
        name: Folder, own encoder, or id on the Hub (HF_HOME and offline mode are honoured).
        revision: Branch, tag or commit on the Hub.
        weights: Whether safetensors weights must be there.

    Raises:
        CheckpointError: Nothing there, a file, no config, a config that must not be followed, or no safetensors weights.
    """
    folder = model_folder(name)
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{name}: is a file; expected a folder written by save_pretrained, or a hub id")
    if not folder.is_dir():
        if isinstance(name, Path) or not is_hub_id(name):
            raise CheckpointError(
                f"{name}: no such folder; expected a folder written by save_pretrained, a hub id such as org/name, or an encoder "
                f"that comes with polyhead ({', '.join(OWN_ENCODERS)})"
            )
        folder = _snapshot(name, revision, weights=False)
        if weights:
            folder = _snapshot(name, folder.name, weights=True)
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{name}: has no config.json; expected a folder written by save_pretrained")
    check_stored_config(folder / "config.json")
    if weights:
        weight_files(folder)
    return folder


@cache
def _snapshot(name: str, revision: str | None, *, weights: bool) -> Path:
    wanted = [*_SMALL, *_WEIGHTS] if weights else _SMALL
    try:
        with quiet():
            return Path(snapshot_download(name, revision=revision, allow_patterns=wanted, ignore_patterns=["*/*"]))
    except Exception as error:  # of the hub's client, or of one of the HTTP libraries beneath it
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise CheckpointError(f"{name}: no such folder here, and as a hub id it cannot be loaded: {lines[0]}") from error


def own_file(name: str | Path, file: str, *, revision: str | None = None) -> Path | None:
    """Where a file that polyhead keeps beside a model should lie; None where the model cannot be reached."""
    if is_local(str(name)):
        return model_folder(name) / file
    try:
        return checkpoint_folder(name, revision=revision, weights=False) / file
    except CheckpointError:  # the model's own loading says why
        return None


def reading(name: str | Path, read: Callable[[], T]) -> T:
    """What `read` returns; whatever Transformers raises becomes one line that begins with the checkpoint's name.

    Raises:
        CheckpointError: `read` failed, unless with an error of polyhead's own, which keeps its kind.
    """
    try:
        with quiet():
            return read()
    except PolyheadError as error:
        raise type(error)(f"{name}: {error}") from None
    except Exception as error:  # tokenizers and huggingface_hub raise kinds of their own, tokenizers the plain one
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise CheckpointError(f"{name}: cannot be loaded: {lines[0]}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and load reports: what they would say is checked, and raised as an error."""
    bars = transformers_logging.is_progress_bar_enabled()
    loggers = [(module, module.get_verbosity()) for module in (transformers_logging, hub_logging)]
    for module, _ in loggers:
        module.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        for module, verbosity in loggers:
            module.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
