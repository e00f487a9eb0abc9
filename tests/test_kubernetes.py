"""The manifests, without a Kubernetes: well formed, no loose ends, pods that are locked, commands that are ours."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.api.app import ROUTES
from monitoring.pipeline.bus.cluster import nodes_of
from monitoring.pipeline.jobs import QUEUES
from monitoring.pipeline.settings import load
from tests.cluster import ValkeyCluster
from tests.test_containers import OURS

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "deploy" / "kubernetes"
FILES = sorted(path for path in FOLDER.rglob("*.yaml") if path.name != "kustomization.yaml")
VERSION = "1.33"


def _documents(path: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


@cache
def _all() -> dict[tuple[str, str], dict[str, Any]]:
    """Every object by kind and name, but for patches."""
    objects = [each for path in FILES if path.name != "bus-url.yaml" for each in _documents(path)]
    found = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    assert len(found) == len(objects)
    return found


def _templates() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each workload's name with the template of its pods."""
    for (kind, name), each in _all().items():
        if kind == "StatefulSet":
            yield name, each["spec"]["template"]
        elif kind == "CronJob":
            yield name, each["spec"]["jobTemplate"]["spec"]["template"]


def _containers() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, template in _templates():
        for container in template["spec"]["containers"]:
            yield f"{name}/{container['name']}", container


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_object_is_one_of_kubernetes_own(path: Path) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="needs the extra `manifests`")
    for each in _documents(path):
        if path.name != "bus-url.yaml":  # a patch: only a part of one
            kubernetes_validate.validate(each, VERSION, strict=True)
        if each["kind"] != "Namespace":
            assert each["metadata"]["namespace"] == "monitoring"


def test_kustomize_is_given_every_file_but_the_example_of_the_secret() -> None:
    listed = set()
    for folder in (FOLDER, FOLDER / "cluster"):
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
        named = [*kustomization["resources"], *(patch["path"] for patch in kustomization.get("patches", ()))]
        for generated in kustomization.get("configMapGenerator", ()):
            named += [file.partition("=")[2] for file in generated["files"]]
        listed |= {(folder / name).resolve() for name in named}
    assert all(path.exists() for path in listed)
    assert {path for path in FILES if path not in listed} == {FOLDER / "secret.example.yaml"}


def test_every_pod_meets_the_restricted_standard_and_says_what_it_needs() -> None:
    enforced = _all()["Namespace", "monitoring"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert enforced == "restricted"
    for _name, template in _templates():
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
    for name, container in _containers():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }, name  # fmt: skip
        assert container["resources"]["limits"]["memory"] and container["resources"]["requests"]["cpu"], name
    assert _all()["StatefulSet", "monitoring"]["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == OURS


def test_what_is_referred_to_is_there() -> None:
    objects = _all()
    generated = {("ConfigMap", "join")}
    for name, template in _templates():
        pod = template["spec"]
        volumes = {volume["name"] for volume in pod.get("volumes", ())}
        if ("StatefulSet", name) in objects:
            spec = objects["StatefulSet", name]["spec"]
            volumes |= {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]}
            assert ("Service", spec["serviceName"]) in objects
            assert spec["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            for source in container.get("envFrom", ()):
                ((kind, reference),) = source.items()
                assert ({"configMapRef": "ConfigMap", "secretRef": "Secret"}[kind], reference["name"]) in objects
            for variable in container.get("env", ()):
                if secret := variable.get("valueFrom", {}).get("secretKeyRef"):
                    assert secret["key"] in objects["Secret", secret["name"]]["stringData"]
        assert {("ConfigMap", each["configMap"]["name"]) for each in pod.get("volumes", ()) if "configMap" in each} <= {
            *generated, *objects,
        }  # fmt: skip
    labels = [template["metadata"]["labels"] for _, template in _templates()]
    for (kind, _), each in objects.items():
        selector = each["spec"]["selector"] if kind == "Service" else {}
        selector = each["spec"]["selector"]["matchLabels"] if kind == "PodDisruptionBudget" else selector
        assert not selector or any(selector.items() <= each.items() for each in labels)


def test_the_containers_run_the_commands_of_the_compose_file_with_settings_that_exist() -> None:
    """Those commands are run as plain processes by tests/test_containers.py."""
    composed = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    pod = _all()["StatefulSet", "monitoring"]["spec"]["template"]["spec"]
    settings = _all()["ConfigMap", "monitoring"]["data"]
    served = set()
    for container in pod["containers"]:
        args = container["args"]
        command = composed[container["name"]]["command"]
        assert args[: len(command)] == command
        assert args[len(command) :] in ([], ["--processes", "2"])
        served |= set(args) & set(QUEUES)
        load({**settings, **{each["name"]: each["value"] for each in container["env"]}})
    assert served == set(QUEUES)
    assert _all()["StatefulSet", "monitoring"]["spec"]["replicas"] == 1


def test_the_probes_ask_what_the_api_answers_to_everybody() -> None:
    open_paths = {route.path for route in ROUTES if route.role is None}
    pod = _all()["StatefulSet", "monitoring"]["spec"]["template"]["spec"]
    (api,) = (each for each in pod["containers"] if each["name"] == "api")
    asked = {name: api[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    assert set(asked.values()) <= open_paths


def test_the_overlay_gives_every_process_the_cluster_and_leaves_the_queue_where_it_is() -> None:
    (patch,) = _documents(FOLDER / "cluster" / "bus-url.yaml")
    base = _all()["StatefulSet", "monitoring"]
    containers = patch["spec"]["template"]["spec"]["containers"]
    assert [each["name"] for each in containers] == [
        each["name"] for each in base["spec"]["template"]["spec"]["containers"]
    ]
    (told,) = {(each["env"][0]["name"], each["env"][0]["value"]) for each in containers}
    nodes = _all()["StatefulSet", "node"]
    (join,) = _all()["CronJob", "join"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    named = [f"node-{number}.node:6379" for number in range(nodes["spec"]["replicas"])]
    assert told[0] == "MONITORING_BUS_URL"
    assert [f"{host}:{port}" for host, port in nodes_of(told[1])] == named == join["args"][1:]


def test_nodes_are_made_a_cluster_and_found_to_be_one() -> None:
    """The very script of the compose file and of the CronJob, on as many real nodes."""
    cluster = ValkeyCluster(primaries=3, replicas=1, node_timeout_ms=5000, requirepass="secret", primaryauth="secret")
    command = [sys.executable, str(FOLDER / "cluster" / "join.py"), "1", *(node.name for node in cluster.nodes)]
    said = []
    try:
        for node in cluster.nodes:
            node.start()
        for _ in range(2):
            done = subprocess.run(
                command, env={"BUS_PASSWORD": "secret"}, capture_output=True, text=True, timeout=150, check=False
            )
            assert done.returncode == 0, done.stderr
            said.append(done.stdout.strip())
    finally:
        cluster.close()
    assert said == [f"{word} a cluster of 6 nodes: 3 primaries" for word in ("made", "found")]
    assert subprocess.run([*command[:3], *command[3:6]], capture_output=True, check=False).returncode == 2
