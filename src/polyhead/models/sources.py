"""Reading checkpoints through Transformers with one-line errors and no noise."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from huggingface_hub import hf_hub_download
from huggingface_hub.utils import logging as hub_logging
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from polyhead.core.errors import CheckpointError, PolyheadError
from polyhead.models.names import OWN_ENCODERS, is_hub_id, model_folder

T = TypeVar("T")


def checked_source(name: str | Path, *, weights: bool = True) -> str:
    """The name as Transformers wants it, after the checks that give a better message than Transformers does.

    Args:
        name: Folder, own encoder, or id on the Hub; whether the Hub has it is not asked.
        weights: Whether safetensors weights must be there.

    Raises:
        CheckpointError: No such folder and no possible id, a file, or a folder without config or safetensors weights.
    """
    path = model_folder(name)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise CheckpointError(f"{name}: has no config.json; expected a folder written by save_pretrained")
        if weights and not ((path / "model.safetensors").is_file() or (path / "model.safetensors.index.json").is_file()):
            if any(path.glob("*.bin")):
                raise CheckpointError(
                    f"{name}: has only .bin weights, which polyhead does not read; convert: python -c 'from transformers import "
                    f'AutoModel; AutoModel.from_pretrained("{name}").save_pretrained("{name}-safetensors")\''
                )
            raise CheckpointError(f"{name}: has no model.safetensors; expected a folder written by save_pretrained")
        return str(path)
    if path.exists():
        raise CheckpointError(f"{name}: is a file; expected a folder written by save_pretrained, or a hub id")
    if isinstance(name, Path) or not is_hub_id(name):
        raise CheckpointError(
            f"{name}: no such folder; expected a folder written by save_pretrained, a hub id such as org/name, or an encoder "
            f"that comes with polyhead ({', '.join(OWN_ENCODERS)})"
        )
    return name


def hub_file(name: str | Path, file: str, revision: str | None = None) -> Path | None:
    """Where a file of a model on the Hub lies after download, or in the cache when offline; None if none is to be had."""
    try:
        with quiet():
            return Path(hf_hub_download(str(name), file, revision=revision))
    except (OSError, ValueError):  # no such file, no such model, no network: the model's own loading says which
        return None


def reading(name: str, read: Callable[[], T]) -> T:
    """What `read` returns; whatever Transformers raises becomes one line that begins with the checkpoint's name.

    Raises:
        CheckpointError: `read` failed, unless with an error of polyhead's own, which keeps its kind.
    """
    try:
        with quiet():
            return read()
    except PolyheadError as error:
        raise type(error)(f"{name}: {error}") from None
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, ImportError, SafetensorError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        what = "cannot be loaded" if Path(name).is_dir() else "no such folder here, and as a hub id it cannot be loaded"
        raise CheckpointError(f"{name}: {what}: {lines[0]}") from error


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
