"""Functions that tell what they do: a decorator that logs calls, a block that adds what was going on to errors.

@log_function
def charge(order, card): ...

with error_context(order="A-1041", step="charge"):
    ...
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar, cast, overload

from monitoring.pipeline.events import levels
from monitoring.producers import exceptions
from monitoring.producers.block import Block
from monitoring.producers.logger import StructuredLogger, get_logger
from monitoring.producers.values import shown

__all__ = ["error_context", "log_function"]

_Function = TypeVar("_Function", bound=Callable[..., Any])
_MAX_ARGUMENTS = 32
_MAX_SHOWN = 200
"""Characters of an argument: enough to recognise it."""
_PLAIN_MODULES = frozenset({"builtins", "datetime", "decimal", "uuid", "pathlib", "fractions", "collections", "enum"})
"""Of these types `repr` is cheap and tells something; that of a tensor or a data frame may take seconds."""


def error_context(**fields: Any) -> Block:
    """Add these fields to any exception that passes through the block, or the decorated function, coroutine, generator.

    They are attributes of the event that reports it, wherever that is. The innermost block wins.
    """
    return Block(lambda: _error_context(fields), generators=True)


@contextmanager
def _error_context(fields: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        exceptions.annotate(error, fields)
        raise


@overload
def log_function(function: _Function, /) -> _Function: ...
@overload
def log_function(
    *,
    level: str = "INFO",
    name: str = "",
    arguments: bool = True,
    skip: tuple[str, ...] = (),
    logger: StructuredLogger | None = None,
) -> Callable[[_Function], _Function]: ...
def log_function(
    function: Any = None,
    /,
    *,
    level: str = "INFO",
    name: str = "",
    arguments: bool = True,
    skip: tuple[str, ...] = (),
    logger: StructuredLogger | None = None,
) -> Any:
    """Log each call of a function, coroutine, generator or method when it ends, with its duration.

    An event has `function`, `duration_ms`, `arguments` (without self and those named in `skip`; bounded, and
    redacted like everything), `result_type`, `result_size` where the result has a length, for generators `items`.
    An exception is logged at ERROR and goes on its way. What the function does is not changed.
    """
    if function is None:
        return functools.partial(log_function, level=level, name=name, arguments=arguments, skip=skip, logger=logger)
    if isinstance(function, staticmethod | classmethod):
        inner = _wrapped(_Call(function.__func__, level, name, arguments, skip, logger), function.__func__)
        return type(function)(inner)
    if isinstance(function, property) and function.fget is not None:
        return function.getter(_wrapped(_Call(function.fget, level, name, arguments, skip, logger), function.fget))
    return _wrapped(_Call(function, level, name, arguments, skip, logger), function)


def _wrapped(call: _Call, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its calls logged, of the same kind as it is."""
    wrapper: Callable[..., Any]
    if inspect.isasyncgenfunction(function):

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            with call.items(args, kwargs) as counted, suppress(StopAsyncIteration):
                generator = function(*args, **kwargs)
                item = await anext(generator)
                while True:
                    counted[0] += 1
                    try:
                        sent = yield item
                    except GeneratorExit:
                        await generator.aclose()
                        raise
                    except BaseException as error:
                        item = await generator.athrow(error)
                    else:
                        item = await generator.asend(sent)

    elif inspect.iscoroutinefunction(function):

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            with call.result(args, kwargs) as returned:
                returned.append(await function(*args, **kwargs))
                return returned[0]

    elif inspect.isgeneratorfunction(function):

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with call.items(args, kwargs) as counted:
                return (yield from _counting(function(*args, **kwargs), counted))

    else:

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with call.result(args, kwargs) as returned:
                returned.append(function(*args, **kwargs))
                return returned[0]

    return functools.wraps(function)(wrapper)


def _counting(generator: Any, counted: list[int]) -> Any:
    """The generator, passing on what is sent and thrown into it, while its items are counted."""
    try:
        item = next(generator)
        while True:
            counted[0] += 1
            try:
                sent = yield item
            except GeneratorExit:
                generator.close()
                raise
            except BaseException as error:
                item = generator.throw(error)
            else:
                item = generator.send(sent)
    except StopIteration as end:
        return end.value


class _Call:
    """How calls of one function are logged."""

    def __init__(
        self,
        function: Callable[..., Any],
        level: str,
        name: str,
        arguments: bool,
        skip: tuple[str, ...],
        logger: StructuredLogger | None,
    ) -> None:
        if levels.parse(level) is None:
            raise ValueError(f"log_function: {level!r} is not a level: one of {', '.join(levels.LEVELS)}")
        self._level = level
        named = getattr(function, "func", function)  # a partial's
        module = getattr(named, "__module__", None) or type(named).__module__
        self._name = name or f"{module}.{getattr(named, '__qualname__', type(named).__qualname__)}"
        self._logger = logger or get_logger(module)
        self._skip = frozenset({"self", "cls", *skip})
        try:
            self._signature = inspect.signature(function) if arguments else None
        except (TypeError, ValueError):
            self._signature = None  # some functions in C have none

    @contextmanager
    def result(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[list[Any]]:
        """Around a call that puts its result into the list."""
        returned: list[Any] = []
        with self._logged(args, kwargs, lambda: _facts_of(returned[0]) if returned else {}):
            yield returned

    @contextmanager
    def items(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[list[int]]:
        """Around a generator that counts its items in the list."""
        counted = [0]
        with self._logged(args, kwargs, lambda: {"items": counted[0]}):
            yield counted

    @contextmanager
    def _logged(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], facts: Callable[[], dict[str, Any]]
    ) -> Iterator[None]:
        fields: dict[str, Any] = {"function": self._name}
        if self._signature is not None and (shown_arguments := self._arguments(args, kwargs)):
            fields["arguments"] = shown_arguments
        began = time.perf_counter()
        try:
            yield
        except GeneratorExit:
            self._end(began, fields, "was closed", facts)
            raise
        except BaseException as error:
            if _is_cancellation(error):
                self._end(began, fields, "was cancelled", facts)
                raise
            fields["exc_info"] = error
            self._end(began, fields, "raised", dict)
            raise
        self._end(began, fields, "returned", facts)

    def _end(self, began: float, fields: dict[str, Any], what: str, facts: Callable[[], dict[str, Any]]) -> None:
        fields["duration_ms"] = round((time.perf_counter() - began) * 1000, 3)
        fields |= facts()
        self._logger.log("ERROR" if what == "raised" else self._level, f"{self._name} {what}", **fields)

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Names and values, seen before the call can change them. Empty where they do not fit: the call will say."""
        try:
            bound = cast(inspect.Signature, self._signature).bind(*args, **kwargs).arguments
        except TypeError:
            return {}
        names = [name for name in bound if name not in self._skip]
        return {name: _seen(bound[name]) for name in names[:_MAX_ARGUMENTS]}


def _facts_of(result: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {"result_type": type(result).__name__}
    try:
        facts["result_size"] = len(result)
    except Exception:  # it has no length, or one of the application's own that raises
        return facts
    return facts


def _is_cancellation(error: BaseException) -> bool:
    """Whether somebody has no use for the result any more (asyncio's, trio's): nothing went wrong here."""
    return not isinstance(error, Exception) and type(error).__name__ in ("CancelledError", "Cancelled")


def _seen(value: Any) -> Any:
    """See `_brief`; an argument of the application's own that cannot be looked at is named by its type."""
    try:
        return _brief(value)
    except Exception:  # of the application's own code, whatever it is: the call goes on, and its record names the type
        return f"<{type(value).__name__}>"


def _brief(value: Any, depth: int = 3) -> Any:
    """An argument as it is logged: plain ones as they are, cut; others by their type and size."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value if len(value) <= _MAX_SHOWN else f"{value[:_MAX_SHOWN]}…"
    if depth and isinstance(value, dict):
        return {str(key)[:_MAX_SHOWN]: _brief(value[key], depth - 1) for key in list(value)[:_MAX_ARGUMENTS]}
    if depth and isinstance(value, list | tuple):
        return [_brief(item, depth - 1) for item in value[:_MAX_ARGUMENTS]]
    if type(value).__module__ in _PLAIN_MODULES:
        return shown(value, _MAX_SHOWN)
    shape = getattr(value, "shape", None)
    size = f" of shape {shape}" if isinstance(shape, tuple) else f" of {n}" if (n := _length(value)) is not None else ""
    return f"<{type(value).__name__}{size}>"


def _length(value: Any) -> int | None:
    try:
        return len(value)
    except Exception:  # see _facts_of
        return None
