"""The admission policies of a stack, evaluated by a real API server.

Each request that they refuse was accepted before they were there.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping

import httpx
import pytest

from ephemeral_dask.contract import labels
from infra.admission.policies import policies
from infra.components.admission import binding, policy
from tests.engine import admission_objects as made
from tests.engine import pods_namespace
from tests.engine.admission_cases import ALLOWED, REFUSED
from tests.engine.admission_objects import LIVE
from tests.engine.admission_request import secret_variable
from tests.engine.control_plane import Kubernetes
from tests.engine.pods_namespace import NAMESPACE, PLATFORM, create
from tools.cluster.wait import until
from tools.engine.results import State
from tools.kubernetes import Kubernetes as Cluster
from tools.verify import admission as verified
from tools.verify.report import Verdict

pytestmark = pytest.mark.xdist_group("admission")


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    """Provide a control plane whose accounts of the stack may do anything in the namespace of runs."""
    with pods_namespace.running(tmp_path_factory.mktemp("kubernetes"), accounts=["with-cloud"]) as kubernetes:
        pods_namespace.serve_dask(kubernetes)
        rbac = "rbac.authorization.k8s.io"
        create(
            kubernetes,
            "RoleBinding",
            "everything",
            f"{rbac}/v1",
            roleRef={"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"},
            subjects=[
                {"apiGroup": rbac, "kind": "Group", "name": f"system:serviceaccounts:{name}"}
                for name in (PLATFORM, NAMESPACE)
            ],
        )
        create(kubernetes, "PriorityClass", "batch", "scheduling.k8s.io/v1", value=1)
        for manifest in _existing():
            kubernetes.kubectl("create", "--namespace", NAMESPACE, "-f", "-", stdin=manifest)
        yield kubernetes


def _existing() -> Iterator[made.Manifest]:
    """Yield objects from before the policies."""
    for each, deployment in ((made.JOB, made.DEPLOYMENT), ("other-job", made.OTHER_DEPLOYMENT)):
        yield made.flow_pod(each, deployment)
    yield _named(made.cluster(), LIVE)
    yield _named(made.default_group(), f"{LIVE}-default")
    secret = secret_variable("no-longer-declared")
    for manifest, name in ((made.cluster(), "earlier"), (made.default_group(), "earlier-default")):
        del manifest["metadata"]["labels"][labels.JOB]
        manifest["spec"]["worker"]["spec"]["containers"][0]["env"].append(secret)
        yield _named(manifest, name)
    many = made.default_group()
    many["spec"]["worker"]["replicas"] = 50
    yield _named(many, "many-default")


def _named(manifest: made.Manifest, name: str) -> made.Manifest:
    metadata = {**manifest["metadata"], "name": name}
    metadata.pop("ownerReferences", None)
    return {**manifest, "metadata": metadata}


@pytest.fixture(scope="module")
def client(kubernetes: Kubernetes) -> Iterator[httpx.Client]:
    pki = kubernetes.place.pki
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    url = f"https://127.0.0.1:{kubernetes.place.ports.api.number}"
    with httpx.Client(base_url=url, verify=context, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def before(client: httpx.Client) -> Mapping[str, httpx.Response]:
    """What the API server answers without the policies."""
    requests = {**ALLOWED, **{name: request for name, (request, _) in REFUSED.items()}}
    return {name: request.send(client) for name, request in requests.items()}


@pytest.fixture(scope="module")
def admission(kubernetes: Kubernetes, client: httpx.Client, before: object) -> Kubernetes:
    """Create the policies, and wait until they are enforced and the API server has checked their types."""
    assert before
    specs = policies(made.settings())
    for name, spec in specs.items():
        kubernetes.kubectl("create", "-f", "-", stdin=policy(NAMESPACE, name, spec))
        kubernetes.kubectl("create", "-f", "-", stdin=binding(NAMESPACE, name, spec))
    request, _ = REFUSED["a load balancer of the operator"]
    assert until(lambda: request.send(client).status_code != 201, seconds=60, interval=0.2)

    def enforced() -> bool:
        return not any(request.send(client).is_success for request, _ in REFUSED.values())

    # One policy may be enforced before another. A request that none refuses has a test of its own.
    until(enforced, seconds=60, interval=0.5)

    def checked() -> bool:
        shown = kubernetes.kubectl("get", "validatingadmissionpolicies", "-o", "json")
        return all("typeChecking" in each.get("status", {}) for each in json.loads(shown)["items"])

    assert until(checked, seconds=60, interval=0.5)
    return kubernetes


@pytest.mark.parametrize("name", ALLOWED)
def test_what_the_platform_makes_is_admitted(
    name: str, client: httpx.Client, admission: Kubernetes, before: Mapping[str, httpx.Response]
) -> None:
    assert admission
    assert before[name].is_success, before[name].text
    answer = ALLOWED[name].send(client)
    assert answer.is_success, answer.text


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_run_has_no_need_of_is_refused_with_the_rule(
    name: str, client: httpx.Client, admission: Kubernetes, before: Mapping[str, httpx.Response]
) -> None:
    assert admission
    assert before[name].is_success, before[name].text
    request, words = REFUSED[name]
    answer = request.send(client)
    assert answer.status_code == 422, answer.text
    assert words in answer.json()["message"]


def test_the_api_server_finds_no_mistake_in_an_expression(admission: Kubernetes) -> None:
    for each in json.loads(admission.kubectl("get", "validatingadmissionpolicies", "-o", "json"))["items"]:
        assert each["status"]["typeChecking"] == {}, each["status"]


def test_make_verify_finds_them_as_they_were_declared(admission: Kubernetes) -> None:
    specs = policies(made.settings()).items()
    declared = [make(NAMESPACE, name, spec) for name, spec in specs for make in (policy, binding)]
    kind = "kubernetes:admissionregistration.k8s.io/v1"
    state = State(resources=tuple({"type": f"{kind}:{each['kind']}", "inputs": each} for each in declared))
    cluster = Cluster({"KUBECONFIG": str(admission.place.kubeconfig)})
    assert verified.row(cluster, state, stack="dev").verdict is Verdict.OK
