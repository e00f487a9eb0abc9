"""From files to ClickHouse with the same data directory, and the engine within this process."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from importlib.util import find_spec

import pytest

from monitoring.pipeline import settings
from monitoring.pipeline.errors import PermanentError, SettingsError, StoreCorrupt
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.logs import check_logs, open_logs, refuse_purge
from tests.frames import T0, Sender, entry, event
from tests.pipeline.store.contract import messages

ME = Holder.this_process()


def chosen(data, url, **more):
    return settings.load({"MONITORING_DATA_DIR": str(data), "MONITORING_STORE": url, "MONITORING_DISK_RESERVE": "0", **more})  # fmt: skip # noqa: E501 - one call


def write(store, *frames):
    writer = store.acquire(0, ME)
    batch = writer.admit([entry(frame, f"{number}-0") for number, frame in enumerate(frames)])
    writer.write(batch)
    writer.release()
    return batch


def test_what_was_stored_in_files_is_not_stored_again_on_the_server_and_there_is_no_way_back(
    tmp_path, clickhouse
) -> None:
    Catalog.create_or_open(tmp_path / CATALOG_FILE, partitions=1).close()
    sender = Sender(created=T0 + 90 * 86_400 * 10**9)
    frames = [sender.frame([event(number)]) for number in range(3)]
    with contextlib.closing(open_logs(chosen(tmp_path, "sqlite"))) as files:
        write(files, *frames[:2])
    with contextlib.closing(open_logs(chosen(tmp_path, clickhouse.fresh(), MONITORING_RETENTION_AGE="0"))) as server:
        batch = write(server, *frames)
        assert (batch.replayed, batch.frames) == (2, 1)
        assert messages(server) == ["event number 2"]
        assert server.verify().findings == []
    with contextlib.closing(open_logs(chosen(tmp_path, "sqlite"))) as files:
        page = files.search("*", EARLIEST, LATEST, deadline=Deadline(60))
        assert (len(page.events), "ClickHouse" in str(page.partial_reason)) == (2, True)
        with pytest.raises(StoreCorrupt, match="MONITORING_STORE"):
            files.acquire(0, ME)


def test_what_only_files_can_do_is_refused_with_the_reason(tmp_path) -> None:
    server = chosen(tmp_path, "clickhouse://host/db")
    check_logs(server)
    with pytest.raises(PermanentError, match="ALTER TABLE"):
        refuse_purge(server)
    with pytest.raises(SettingsError, match="MONITORING_RETENTION_SERVICES"):
        check_logs(chosen(tmp_path, "clickhouse://host/db", MONITORING_RETENTION_SERVICES="x=1d"))


PROGRAM = """
import contextlib, sys
from pathlib import Path
from tests.pipeline.store.clickhouse.test_switch import *
data = Path(sys.argv[1])
Catalog.create_or_open(data / CATALOG_FILE, partitions=1).close()
with contextlib.closing(open_logs(chosen(data, f"chdb://{data}/engine", MONITORING_RETENTION_AGE="0"))) as store:
    write(store, Sender(created=T0 + 90 * 86_400 * 10**9).frame([event(number) for number in range(3)]))
    print(messages(store, "number n:>0"), store.verify().findings, flush=True)
"""


def test_the_engine_may_run_within_the_process(tmp_path) -> None:
    if find_spec("chdb") is None:
        pytest.skip("the engine is not there: pip install -e '.[engine]'")
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.stdout == "['event number 2', 'event number 1'] []\n", done.stderr
