"""A file of definitions: what is right in it is in force, what is wrong is named."""

from __future__ import annotations

import pytest

from monitoring.pipeline import settings
from monitoring.pipeline.derived.file import parse, read
from monitoring.pipeline.store.derived_metrics import InForce

GOOD = "{name: errors_total, kind: counter, query: 'level:error', labels: [service]}"


def test_a_definition_that_is_wrong_leaves_the_others_in_force():
    parsed = parse(f"derived_metrics:\n- {GOOD}\n- {{name: x, kind: gauge, query: y}}\n- {GOOD}\n", "d.yaml")
    assert [definition.family for definition in parsed.definitions] == ["errors"]
    assert parsed.errors[0].startswith("d.yaml: definition 2: kind: ")
    assert parsed.errors[1] == "d.yaml: definition 3: name: errors_total stands there twice"


@pytest.mark.parametrize("text", ["a: [", "- 1", "derived_metrics: 7", "rules: []", "derived_metrics: [&a x, *a]"])
def test_what_is_no_file_of_definitions_is_one_error(text):
    parsed = parse(text, "d.yaml")
    assert (parsed.definitions, len(parsed.errors)) == ([], 1)


def test_an_empty_file_defines_nothing_and_one_that_is_not_there_is_an_error(tmp_path):
    assert parse("", "d.yaml") == ([], [])
    assert len(read(tmp_path / "none.yaml").errors) == 1


def test_a_file_is_read_again_when_it_changes_and_nothing_is_opened_where_nothing_is_defined(tmp_path):
    file = tmp_path / "d.yaml"
    found = InForce(settings.load({"MONITORING_DATA_DIR": str(tmp_path), "MONITORING_DERIVED_FILE": str(file)}))
    assert not found.changed()
    file.write_text(f"derived_metrics: [{GOOD}]")
    assert found.changed() and [each.name for each in found.definitions] == ["errors_total"]
    assert not found.changed()
    file.unlink()
    assert found.changed() and found.definitions == []
    assert [path.name for path in tmp_path.iterdir()] == []
