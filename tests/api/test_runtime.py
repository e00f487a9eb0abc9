"""What a process of the API keeps open, over forks and threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from monitoring.pipeline.store.verify import verify
from tests.instance import Instance

FORKING = """
import os, sys
from monitoring.api.app import create_app
from monitoring.pipeline import settings

app = create_app(settings.load())
headers = {"Authorization": "Bearer " + sys.argv[1]}

def use(name):
    client = app.test_client()
    assert client.post("/api/v1/logs", data=b'{"message":"%s"}' % name, headers=headers).status_code == 202
    once = {**headers, "Idempotency-Key": name.decode()}
    assert client.post("/api/v1/logs", data=b'{"message":"%s once"}' % name, headers=once).status_code == 202
    assert client.get("/api/v1/logs", headers=headers).status_code == 200
    assert client.get("/api/v1/status", headers=headers).status_code == 200
    assert client.get("/readyz").status_code == 200

use(b"parent")
children = []
for number in range(3):
    pid = os.fork()
    if pid == 0:
        try:
            use(b"child %d" % number)
            app.extensions["monitoring"].close()
            os._exit(0)
        finally:
            os._exit(1)
    children.append(pid)
use(b"parent again")
print([os.waitpid(pid, 0)[1] for pid in children])
app.extensions["monitoring"].close()
"""


def test_an_application_in_use_before_the_fork_works_in_parent_and_children(instance: Instance) -> None:
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("MONITORING_", "REDIS_URL"))}
    environment = {"MONITORING_DATA_DIR": str(instance.data), "MONITORING_BUS_URL": instance.url}
    done = subprocess.run(
        [sys.executable, "-c", FORKING, instance.keys["admin"]],
        env={**clean, **environment, "MONITORING_DISK_RESERVE": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[0, 0, 0]\n", done.stderr
    names = ["child 0", "child 1", "child 2", "parent", "parent again"]
    with instance.draining():
        found = instance.messages(10)
    assert sorted(found) == sorted([*names, *(f"{name} once" for name in names)])
    assert verify(instance.catalog).findings == []


def test_many_threads_share_one_application(instance: Instance) -> None:
    failures: list[str] = []

    def use(number: int) -> None:
        client = instance.app.test_client()
        headers = {"Authorization": f"Bearer {instance.keys['admin']}"}
        for path in ("/api/v1/status", "/readyz", "/api/v1/logs?query=x", "/api/v1/keys", "/api/v1/dead-letters"):
            for _ in range(5):
                answer = client.get(path, headers=headers)
                if answer.status_code != 200:
                    failures.append(f"{number} {path}: {answer.text}")

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
