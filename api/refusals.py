"""What the store of rules and alerts refuses, as problem documents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from monitoring.api.problems import Problem
from monitoring.pipeline.alerts.rule import RuleInvalid
from monitoring.pipeline.errors import PermanentError, QuerySyntaxError
from monitoring.pipeline.store.alerts import AlertMissing
from monitoring.pipeline.store.rules import ReadOnlyRule, RuleExists

__all__ = ["refusals"]


@contextmanager
def refusals() -> Iterator[None]:
    """Raises Problem: 404 for what is not there, 409 for what its state or origin forbids, else 400."""
    try:
        yield
    except RuleInvalid as error:
        raise Problem(400, error.problem, field=error.field, fix=error.fix) from error
    except AlertMissing as error:
        raise Problem(
            404, "there is no such alert", field="id", fix="GET /api/v1/alerts?state=all lists them"
        ) from error
    except ReadOnlyRule as error:
        raise Problem(
            409, str(error), field="name", fix="change the file; or copy the rule under another name"
        ) from error
    except RuleExists as error:
        raise Problem(409, "there is a rule of this name", field="name", fix="PUT replaces it") from error
    except QuerySyntaxError:
        raise
    except PermanentError as error:
        field, _, detail = str(error).partition(": ")
        raise Problem(409 if field == "state" else 400, detail, field=field) from error
