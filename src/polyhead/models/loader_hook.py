"""Makes stock `from_pretrained` read pruned checkpoints once `polyhead` is imported, without importing anything heavy itself."""

import importlib
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

REGISTRY = "transformers.quantizers.auto"


def install_loader_hook() -> None:
    """Register the checkpoint loader with Transformers: now if its registry is loaded, else as soon as it has been.

    Calling it again changes nothing.
    """
    if REGISTRY in sys.modules:
        _register()
    elif not any(isinstance(finder, _RegistryFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _RegistryFinder())


def _register() -> None:
    importlib.import_module("polyhead.models.transformers_loader").register()


class _RegistryFinder(MetaPathFinder):
    """Waits for the import of the registry, steps aside, and has the loader registered after it."""

    def find_spec(self, fullname: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != REGISTRY or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        try:
            spec = find_spec(fullname)
        finally:
            sys.meta_path.insert(0, self)
        if spec is not None and spec.loader is not None:
            spec.loader = _RegisteringLoader(spec.loader, self)
        return spec


class _RegisteringLoader(Loader):
    """Runs the registry's own loader, puts it back in its place, then registers ours."""

    def __init__(self, inner: Loader, finder: _RegistryFinder) -> None:
        self._inner = inner
        self._finder = finder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._inner
        if module.__spec__ is not None:
            module.__spec__.loader = self._inner
        self._inner.exec_module(module)
        if self._finder in sys.meta_path:  # only now: an import that failed may be tried again
            sys.meta_path.remove(self._finder)
        _register()
