"""A `with` block that may stand around a function or a coroutine as well, as its decorator."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, TypeVar

__all__ = ["Block"]

F = TypeVar("F", bound=Callable[..., Any])


class Block:
    """Enters what `make` makes: once as a block, anew for each call as a decorator.

    A coroutine is within it until it is done; with `generators`, a generator until it is worked off. (What a block
    binds to the context would be seen by who takes the items.)
    """

    __slots__ = ("_entered", "_generators", "_make")

    def __init__(self, make: Callable[[], AbstractContextManager[None]], *, generators: bool = False) -> None:
        self._make = make
        self._generators = generators
        self._entered: list[AbstractContextManager[None]] = []

    def __enter__(self) -> None:
        entered = self._make()
        entered.__enter__()
        self._entered.append(entered)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return self._entered.pop().__exit__(kind, error, traceback)

    def __call__(self, function: F) -> F:
        """The function, each call of it within the block."""
        make = self._make
        within: Any
        if inspect.iscoroutinefunction(function):

            async def within(*args: Any, **kwargs: Any) -> Any:
                with make():
                    return await function(*args, **kwargs)

        elif self._generators and inspect.isgeneratorfunction(function):

            def within(*args: Any, **kwargs: Any) -> Any:
                with make():
                    return (yield from function(*args, **kwargs))

        else:

            def within(*args: Any, **kwargs: Any) -> Any:
                with make():
                    return function(*args, **kwargs)

        return functools.wraps(function)(within)  # type: ignore[return-value]  # it has the function's own signature
