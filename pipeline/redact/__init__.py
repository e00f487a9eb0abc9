"""Hiding secrets in what a process logs, before it leaves the process."""

from monitoring.pipeline.redact.chosen import redactor_from
from monitoring.pipeline.redact.redactor import Redactor

__all__ = ["Redactor", "redactor_from"]
