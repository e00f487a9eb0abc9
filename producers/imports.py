"""Work to be done when a library is imported: at once where it is, else in the moment it will be.

Nothing here imports a library; a program that does not use one does not pay for it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["forget", "when_imported"]

Work = Callable[[ModuleType], None]


class _Finder:
    """Finds nothing by itself: it has the module that others find call us once it has run."""

    def __init__(self) -> None:
        self.waiting: dict[str, Work] = {}
        self._asking = threading.local()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What another finder says of a module that is waited for."""
        if name not in self.waiting or getattr(self._asking, "name", None) == name:
            return None
        self._asking.name = name
        try:
            spec = _found_by_others(self, name, path, target)
        finally:
            self._asking.name = None
        if spec is not None and spec.loader is not None:
            self._watch(name, spec.loader)
        return spec

    def _watch(self, name: str, loader: Any) -> None:
        """Through the loader's own method, so that what others ask of the loader (files, sources) stays as it is."""
        run = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            if module.__name__ == name:
                vars(loader).pop("exec_module", None)
                if (work := self.waiting.pop(name, None)) is not None:
                    work(module)

        try:
            loader.exec_module = exec_module
        except AttributeError:  # a loader of another make that takes no attributes: the module goes without
            return


def _found_by_others(
    own: _Finder, name: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        if finder is not own and find is not None and (spec := find(name, path, target)) is not None:
            return spec  # type: ignore[no-any-return]  # of any finder, which has no type
    return None


_finder = _Finder()


def when_imported(name: str, work: Work) -> None:
    """Call `work` with this module: now, or when it has been imported. It must not raise."""
    module = sys.modules.get(name)
    if module is not None:
        work(module)
        return
    _finder.waiting[name] = work
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def forget() -> None:
    """Call nothing that has not been called yet."""
    _finder.waiting.clear()
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
