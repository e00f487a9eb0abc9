"""A client of the API for the fault tests: posts batches and keeps a journal of what was answered 202.

    python -m tests.faults.client NAME SEED RATE JOURNALS URL KEY_FILE

Every other batch goes under an Idempotency-Key and is repeated until it is answered, over whatever died in
between; the others are sent once, and what was not answered is not claimed. Standard input at its end means stop.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests.faults import workload
from tests.faults.journal import Journal, content_sha, event_key, raw_sha

BATCH_SECONDS = 0.25
_PAUSE_SECONDS = 0.2
_LEVELS = {5: "DEBUG", 9: "INFO", 10: "NOTICE", 13: "WARNING", 17: "ERROR", 21: "FATAL"}


def main() -> None:
    """Post at the rate until standard input ends."""
    name, seed, rate, journals, url, key_file = sys.argv[1:]
    stop = threading.Event()
    threading.Thread(target=_until_told, args=(stop,), daemon=True).start()
    journal = Journal(Path(journals), name)
    count = max(1, int(int(rate) * BATCH_SECONDS))
    due, turn = time.monotonic(), 0
    while not stop.is_set():
        turn += 1
        _batch(journal, int(seed), count, url, Path(key_file), repeat=turn % 2 == 0)
        due = max(due + BATCH_SECONDS, time.monotonic() - 1.0)
        time.sleep(max(0.0, due - time.monotonic()))
    journal.close()


def _until_told(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


def _batch(journal: Journal, seed: int, count: int, url: str, key_file: Path, *, repeat: bool) -> None:
    lines, shas = [], []
    for number in range(journal.next, journal.next + count):
        line, sha = _line(seed, journal.producer, number)
        lines.append(line)
        shas.append(sha)
    numbers = journal.intend_mixed(shas)
    body = b"\n".join(lines)
    name = f"{journal.producer}/{numbers.start}" if repeat else None
    while (status := _post(url, key_file, body, name)) != 202:
        if status is not None and status not in (408, 429, 500, 502, 503, 504):
            raise RuntimeError(f"the API answered {status}")
        time.sleep(_PAUSE_SECONDS)
        if not repeat:
            return
    journal.acknowledge(numbers)


def _line(seed: int, producer: str, number: int) -> tuple[bytes, tuple[int, bool]]:
    """A line of the body, and what the journal says of it."""
    if workload.is_rejected(seed, producer, number):
        line = f"{event_key(producer, number)} is no JSON".encode()
        return line, (raw_sha(line), True)
    event = workload.event(seed, producer, number)
    members = {key: value for key, value in event._asdict().items() if value != ""}
    members["level"] = _LEVELS[event.level]
    for key in ("attributes", "exception"):
        if key in members:
            members[key] = json.loads(members[key])
    return json.dumps(members).encode(), (content_sha(event), False)


def _post(url: str, key_file: Path, body: bytes, idempotency_key: str | None) -> int | None:
    """The status of the answer; None where none came."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30.0)
    try:
        headers = {"Authorization": f"Bearer {key_file.read_text().strip()}"}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        connection.request("POST", "/api/v1/logs", body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


if __name__ == "__main__":
    main()
