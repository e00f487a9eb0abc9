"""Every error the product raises on purpose.

What to do about one is told by its type, never by its message: a `RetryableError` may succeed later
with the same input, a `PermanentError` will not.
"""

from __future__ import annotations

__all__ = [
    "AlreadyRunning",
    "BusFull",
    "BusRefused",
    "BusUnavailable",
    "Fenced",
    "FrameCorrupt",
    "IngestRefused",
    "MonitoringError",
    "PermanentError",
    "QuerySyntaxError",
    "RetryableError",
    "SettingsError",
    "SignalUnknown",
    "StoreCorrupt",
    "StoreFull",
    "StoreUnreachable",
]


class MonitoringError(Exception):
    """Base of all errors of the product; the message names the operation and says what to do."""


class RetryableError(MonitoringError):
    """The same call may succeed later."""


class PermanentError(MonitoringError):
    """The same call will fail again; something else has to change first."""


class SettingsError(PermanentError):
    """A setting is unknown or its value cannot be used."""


class AlreadyRunning(PermanentError):
    """Another process owns this data directory, file or name."""


class BusUnavailable(RetryableError):
    """The bus did not answer, or not in time."""


class BusFull(RetryableError):
    """The bus is at its memory or length limit; what was written before the refusal stays written.

    `retry_after_seconds` is how long the other side asked to be left alone, 0 where it did not say.
    """

    retry_after_seconds: float = 0.0


class BusRefused(PermanentError):
    """The bus is there but must not be used as it is configured."""


class SignalUnknown(BusRefused):
    """The instance is there and takes no rows of this signal: its release is older, or it does not serve it."""


class FrameCorrupt(PermanentError):
    """Bytes that should be a frame are not one, or do not match their digest."""


class Fenced(PermanentError):
    """The lease of a partition was taken over: this process must not write to it any more."""


class StoreFull(RetryableError):
    """The disk or quota of the data directory is full; the transaction was rolled back."""


class StoreUnreachable(StoreFull):
    """The server behind the store does not answer, or refuses for now. As with a full disk, nothing is lost by it."""


class StoreCorrupt(PermanentError):
    """A file of the store is damaged or of an unknown version."""


class IngestRefused(PermanentError):
    """The server will never accept this input (size, format, rights)."""


class QuerySyntaxError(PermanentError):
    """A query cannot be understood.

    `column` counts from 1; `hint` says what would be understood, or is empty.
    """

    def __init__(self, message: str, column: int, hint: str = "") -> None:
        super().__init__(f"column {column}: {message}" + (f" ({hint})" if hint else ""))
        self.column = column
        self.hint = hint
