"""Lets stock `from_pretrained` read pruned checkpoints once `polyhead` is imported, without importing Transformers itself."""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

REGISTRY = "transformers.quantizers.auto"


def install_loader_hook() -> None:
    """Register the checkpoint loader with Transformers, now or once its registry is imported; a second call does nothing."""
    if REGISTRY in sys.modules:
        _register()
    elif not any(isinstance(finder, _RegistryFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _RegistryFinder())


def _register() -> None:
    importlib.import_module("polyhead.models.transformers_loader").register()


class _RegistryFinder(MetaPathFinder):
    """Registers the loader after the registry's import; stays in `sys.meta_path`, which other threads may be reading."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != REGISTRY:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_and_register(module: ModuleType) -> None:
                run(module)
                _register()

            spec.loader.exec_module = run_and_register  # type: ignore[method-assign]
        return spec
