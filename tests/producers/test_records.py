"""What comes by `extra` arrives, however the record was made."""

from __future__ import annotations

import logging

import pytest

from monitoring.producers.records import SEEN, fields_of


def record(**attributes):
    found = logging.makeLogRecord({"name": "shop", "msg": "x", "levelno": 20})
    found.__dict__.update(attributes)
    return found


def test_a_record_without_extras_has_no_fields():
    assert fields_of(record()) == {}


def test_extras_keep_their_order_and_what_formatters_and_we_add_is_left_out():
    fields = fields_of(record(zone="eu", message="x", asctime="now", user="ann", taskName=None, **{SEEN: True}))
    assert list(fields.items()) == [("zone", "eu"), ("user", "ann")]


def test_names_that_begin_with_an_underscore_are_the_users_own_unless_structlog_gave_them():
    assert fields_of(record(_id=7, _logger=None, _name="x", _from_structlog=True)) == {"_id": 7}


@pytest.mark.parametrize("name", ["", 7])
def test_a_name_that_is_no_name_does_no_harm(name):
    found = record(user="ann")
    found.__dict__[name] = 1
    assert fields_of(found) == {"user": "ann", name: 1}


def test_extras_are_found_in_a_record_that_lacks_attributes():
    found = record(user="ann", zone="eu")
    del found.process, found.thread
    assert fields_of(found) == {"user": "ann", "zone": "eu"}


def test_extras_are_found_in_a_record_whose_maker_put_its_own_first():
    class Tagged(logging.LogRecord):
        def __init__(self, *args):
            self.tag = "a"
            super().__init__(*args)

    found = Tagged("shop", 20, "f", 1, "x", (), None)
    found.user = "ann"
    assert fields_of(found) == {"tag": "a", "user": "ann"}


def test_the_records_own_values_stay_as_they_are():
    found = record(user="ann", exc_text="Traceback")
    before = dict(found.__dict__)
    assert fields_of(found) == {"user": "ann", "stack": "Traceback"}
    assert found.__dict__ == before
