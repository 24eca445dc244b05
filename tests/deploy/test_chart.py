"""The Helm chart, rendered by Helm's own library and checked against the schemas of Kubernetes."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from programs import ROOT

from sse_hub import __version__
from sse_hub.program.config import load, read_file
from sse_hub.settings import Settings, table

try:
    import helm_python
    import kubernetes_validate
except ImportError:
    missing = "Helm or the schemas are missing: pip install helm-python-sdk kubernetes-validate"
    if os.environ.get("CI") == "true":
        raise
    pytest.skip(missing, allow_module_level=True)

CHART = ROOT / "deploy" / "helm" / "sse-hub"
OLDEST, NEWEST = "1.25", "1.34"
"""Of Kubernetes: the oldest that the chart names, and a late one."""
KEY = {"jwtKey": "a secret of at least 32 characters"}
SEVERAL: dict[str, Any] = {
    **KEY,
    "replicas": 2,
    "store": "redis://redis:6379/0",
    "rules": (ROOT / "deploy" / "hub.toml").read_text(),
    "settings": {"drain": 30, "max_body": 4194304, "ping": 7.5, "compress": True, "no_mercure": False},
    "ingress": {"enabled": True, "className": "nginx", "host": "hub.example.org", "tlsSecret": "tls"},
    "networkPolicy": {"enabled": True, "from": [{"podSelector": {"matchLabels": {"app": "ingress"}}}]},
}


def rendered(values: dict[str, Any], name: str = "live") -> dict[str, Any]:
    """What `helm install` would send to the cluster: one object of each kind."""
    with helm_python.Chart.load(CHART) as chart:
        files = chart.render(values=values, name=name, namespace="events")
    texts = [text for path, text in files.items() if path.endswith(".yaml")]
    made = [each for text in texts for each in yaml.safe_load_all(text) if each]
    assert len({each["kind"] for each in made}) == len(made)
    return {each["kind"]: each for each in made}


def pod(made: dict[str, Any]) -> Any:
    return made["Deployment"]["spec"]["template"]["spec"]


def variables(made: dict[str, Any]) -> dict[str, str | None]:
    (container,) = pod(made)["containers"]
    return {each["name"]: each.get("value") for each in container["env"]}


@pytest.mark.parametrize("values", [KEY, SEVERAL], ids=["one", "several"])
def test_helm_finds_nothing_in_the_chart(values: dict[str, Any]) -> None:
    found = helm_python.lint(CHART, values, strict=True, with_subcharts=False)
    assert [each for each in found["messages"] if "icon" not in str(each)] == []


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("values", [KEY, SEVERAL], ids=["one", "several"])
def test_kubernetes_knows_every_key_of_what_is_rendered(values: dict[str, Any], version: str) -> None:
    for made in rendered(values).values():
        kubernetes_validate.validate(made, version, strict=True)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_knows_every_key_of_the_plain_file(version: str) -> None:
    for made in yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text()):
        kubernetes_validate.validate(made, version, strict=True)


def test_one_hub_has_no_more_than_it_needs() -> None:
    assert set(rendered(KEY)) == {"Deployment", "Service", "Secret"}
    assert set(rendered(SEVERAL)) == {
        *("ConfigMap", "Deployment", "Ingress", "NetworkPolicy", "PodDisruptionBudget", "Secret", "Service")
    }
    assert "Secret" not in rendered({"existingSecret": "mine", "replicas": 2})


def test_the_pod_is_that_of_the_plain_file() -> None:
    plain = next(yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text()))["spec"]["template"]["spec"]
    mine = pod(rendered({"existingSecret": "sse-hub", "replicas": 2}))
    (ours,), (theirs,) = plain.pop("containers"), mine.pop("containers")
    assert mine == plain
    for each in (ours, theirs):
        each.pop("image")
        each.pop("imagePullPolicy", None)
        for variable in each["env"]:
            variable.get("valueFrom", {}).get("secretKeyRef", {}).pop("optional", None)
    assert theirs == ours


def test_the_settings_become_variables_that_the_hub_reads_as_they_were_meant() -> None:
    given = {name: value for name, value in variables(rendered(SEVERAL)).items() if value is not None}
    assert given.keys() <= {row.variable for row in table()}
    given.pop("SSE_CONFIG")
    settings = load({}, given)
    assert (settings.drain, settings.max_body, settings.ping) == (30, 4194304, 7.5)
    assert (settings.compress, settings.no_mercure, settings.no_demo) == (True, False, True)


def test_the_rules_are_the_file_that_the_hub_reads(tmp_path: Path) -> None:
    made = rendered(SEVERAL)
    (mount,) = (each for each in pod(made)["containers"][0]["volumeMounts"] if each["name"] == "rules")
    ((name, text),) = made["ConfigMap"]["data"].items()
    assert variables(made)["SSE_CONFIG"] == f"{mount['mountPath']}/{name}"
    (tmp_path / name).write_text(text)
    assert read_file(str(tmp_path / name), {}, {}).rules == read_file(str(ROOT / "deploy" / "hub.toml"), {}, {}).rules


def test_workers_have_what_they_need() -> None:
    made = rendered({**KEY, "settings": {"workers": 4}})
    assert variables(made)["SSE_WORKERS"] == "4"
    (container,) = pod(made)["containers"]
    (mount,) = (each["name"] for each in container["volumeMounts"] if each["mountPath"] == "/tmp")
    assert {"name": mount, "emptyDir": {"medium": "Memory"}} in pod(made)["volumes"]
    (extras,) = re.findall(r"pip install .*'\.\[(.*)\]'", (ROOT / "Dockerfile").read_text())
    assert "workers" in extras.split(",")


@pytest.mark.parametrize(
    "store",
    ["redis://:p@redis:6379/0", "rediss://redis:6379/0", "unix:///run/redis.sock", "redis+sentinel://a,b/main/0"],
)
def test_every_address_of_a_redis_is_taken(store: str) -> None:
    assert Settings(store=store).address.kind == "redis"
    assert rendered({**KEY, "store": store})["Secret"]["stringData"]["store"] == store


def test_a_change_of_the_secret_or_the_rules_makes_new_pods() -> None:
    def checksum(**changes: str) -> str:
        made = rendered({**KEY, **changes})
        return str(made["Deployment"]["spec"]["template"]["metadata"]["annotations"]["checksum/config"])

    assert len({checksum(), checksum(jwtKey="b" * 32), checksum(rules="history = 5"), checksum(store="redis://r")}) == 4


def test_no_secret_stands_in_the_deployment() -> None:
    made = rendered(SEVERAL)
    for secret in (SEVERAL["jwtKey"], SEVERAL["store"]):
        assert secret in made["Secret"]["stringData"].values()
        assert secret not in str(made["Deployment"])


@pytest.mark.parametrize("drain", [0.5, Settings().drain, 120])
def test_a_pod_gets_more_time_than_it_waits_and_drains(drain: float) -> None:
    spec = pod(rendered({**KEY, "settings": {"drain": drain}}))
    wait = int(spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert spec["terminationGracePeriodSeconds"] > wait + drain


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "Without a key nobody may publish. Set jwtKey, existingSecret, or settings.jwks_url"),
        ({**KEY, "replicas": 2}, "2 replicas need a Redis that they share"),
        ({**KEY, "existingSecret": "mine"}, "leave jwtKey and store empty"),
        ({**KEY, "ingress": {"enabled": True}}, "ingress.host is empty"),
        ({**KEY, "replica": 2}, "'replica' not allowed"),
        ({**KEY, "store": "sqlite:/data/events.db"}, "/store"),
        ({**KEY, "settings": {"port": 80}}, "invalid propertyName 'port'"),
        ({**KEY, "settings": {"no-demo": True}}, "invalid propertyName 'no-demo'"),
    ],
)
def test_values_that_would_not_work_are_refused_with_what_would(values: dict[str, Any], says: str) -> None:
    with pytest.raises(helm_python.HelmError) as refused:
        rendered(values)
    assert says in str(refused.value)


def test_names_fit_into_a_label_and_do_not_repeat_the_chart() -> None:
    assert rendered(KEY, "sse-hub")["Service"]["metadata"]["name"] == "sse-hub"
    name = rendered(KEY, "a" * 53)["Service"]["metadata"]["name"]
    assert len(name) <= 63
    assert not name.endswith("-")


def test_the_command_of_the_guide_makes_a_hub_behind_an_ingress() -> None:
    guide = (ROOT / "docs" / "how-to" / "proxies.md").read_text()
    ((name, folder, sets),) = re.findall(r"^helm install (\S+) (\S+) (.*)$", guide, re.MULTILINE)
    assert ROOT / folder == CHART
    given = re.sub(r'"\$\(.*?\)"', "k" * 32, sets).split("--set ")[1:]
    values = helm_python.parse_set_string(",".join(each.strip() for each in given))
    made = rendered(values, name)
    assert made["Ingress"]["spec"]["rules"][0]["host"] == "hub.example.org"
    assert set(made["Ingress"]["metadata"]["annotations"]) <= set(re.findall(r"`(nginx\S+?)(?:: .*?)?`", guide))


def test_the_chart_has_the_version_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_the_chart_takes_every_setting_but_those_that_it_sets_itself() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    names = schema["properties"]["settings"]["propertyNames"]["enum"]
    own = {"config", "host", "jwt_key", "node", "port", "store"}
    assert set(names) == {row.name for row in table()} - own
