"""Finding a model's files, and reading them through Transformers with one-line errors and without its log output."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

from huggingface_hub import snapshot_download
from huggingface_hub.utils import logging as hub_logging
from transformers.utils import logging as transformers_logging

from polyhead.core.errors import ArchitectureError, CheckpointError, PolyheadError, one_line
from polyhead.models.checks import CONFIG, INDEX, WEIGHTS, check_stored_config, weight_files
from polyhead.models.names import OWN_ENCODERS, is_hub_id, model_folder

T = TypeVar("T")
_SMALL = ["*.json", "*.txt", "*.model"]  # configs, records, and vocabularies of every tokenizer type
_WEIGHTS = [WEIGHTS, INDEX, "model-*-of-*.safetensors"]


def checkpoint_folder(name: str | Path, *, revision: str | None = None, weights: bool = True) -> Path:
    """The folder of a model's files; a hub model is downloaded once.

    Within a process a hub id means one commit, that of its first use; the snapshot folder is named after it.

    Args:
        name: Folder, bundled encoder, or hub id (HF_HOME and offline mode are respected).
        revision: Branch, tag or commit on the Hub.
        weights: Whether safetensors weights are required.

    Raises:
        CheckpointError: Not found, a file, no config or an unsafe one, or no safetensors weights.
    """
    folder = model_folder(name)
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{name}: is a file; expected a folder written by save_pretrained, or a hub id")
    if not folder.is_dir():
        if isinstance(name, Path) or not is_hub_id(name):
            expected = "a folder written by save_pretrained, a hub id such as org/name, or a bundled encoder"
            raise CheckpointError(f"{name}: no such folder; expected {expected} ({', '.join(OWN_ENCODERS)})")
        folder = _snapshot(name, revision, weights=False)
        if weights:
            folder = _snapshot(name, folder.name, weights=True)
    if not (folder / CONFIG).is_file():
        raise CheckpointError(f"{name}: has no {CONFIG}; expected a folder written by save_pretrained")
    check_stored_config(folder / CONFIG)
    if weights:
        weight_files(folder)
    return folder


@cache
def _snapshot(name: str, revision: str | None, *, weights: bool) -> Path:
    wanted = [*_SMALL, *_WEIGHTS] if weights else _SMALL
    try:
        with quiet():
            return Path(snapshot_download(name, revision=revision, allow_patterns=wanted, ignore_patterns=["*/*"]))
    except Exception as error:  # from the hub client or its HTTP libraries
        raise CheckpointError(f"{name}: no such folder here, and loading it as a hub id failed ({one_line(error)})") from error


def reading(where: str | Path, read: Callable[[], T], *, do: str) -> T:
    """What `read` returns; an error of another library becomes one line that begins with `where` and ends with what to `do`.

    Raises:
        CheckpointError: `read` failed; polyhead's own errors, which name their file, pass through.
    """
    try:
        with quiet():
            return read()
    except ArchitectureError as error:
        raise ArchitectureError(f"{where}: {error}") from None
    except PolyheadError:
        raise
    except Exception as error:  # huggingface_hub raises its own types, tokenizers raises Exception itself
        raise CheckpointError(f"{where}: cannot be loaded ({one_line(error)}); {do}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress progress bars and load reports; polyhead checks the same facts and raises errors."""
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
