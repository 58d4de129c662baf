"""kubernetes.*: against a stand-in that keeps objects as an API server does; no cluster was at hand."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.healer.clients.base import ActuatorError, IrreversibleError
from services.healer.clients.kubernetes_actuators import MarkNode, RestartPods, RollBackTemplate, ScalePods
from services.healer.domain.merge_patch import merge_patch, without_nulls
from shared.packs.actions.kubernetes import Cluster, CordonNode, RestartWorkload, RollBackDeployment, ScaleWorkload
from tests.unit.healer.helpers import Drawer, context_of
from tests.unit.healer.kubernetes_api import ApiServer, merged

NODE = "/api/v1/nodes/worker-1"


def template(image: str, **more: object) -> dict[str, object]:
    container = {"name": "web", "image": image, **more}
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container], "dnsPolicy": "ClusterFirst"}}


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ApiServer]:
    server = ApiServer()
    async with server.serving() as address:
        monkeypatch.setenv("KUBE_TOKEN", server.token)
        monkeypatch.setenv("KUBE_API", address)
        server.put(NODE, {"kind": "Node", "spec": {"podCIDR": "10.0.0.0/24"}})
        yield server


@pytest.fixture
def web(api: ApiServer) -> str:
    path = api.deployment("web", template("web:1", env=[{"name": "OLD", "value": "1"}]))
    api.objects[path]["spec"]["template"] = {**template("web:2"), "metadata": {"labels": {"app": "web", "tier": "x"}}}
    api._control(path)
    return path


def cluster() -> Cluster:
    import os

    return Cluster.model_validate({"api": os.environ["KUBE_API"], "token": {"env": "KUBE_TOKEN"}})


def restart(**more: object) -> RestartPods:
    return RestartPods(context_of(), RestartWorkload(cluster=cluster(), name="web", namespace="shop", **more))


def scale(**how: int) -> ScalePods:
    bounds = {"min": 1, "max": 5} | how
    return ScalePods(context_of(), ScaleWorkload(cluster=cluster(), name="web", namespace="shop", **bounds))


def roll_back(drawer: Drawer) -> RollBackTemplate:
    action = RollBackDeployment(cluster=cluster(), name="web", namespace="shop")
    return RollBackTemplate(context_of(drawer=drawer), action)


async def test_a_restart_changes_the_template_once(api: ApiServer, web: str) -> None:
    before = copy.deepcopy(api.objects[web]["spec"])
    step = restart()
    seen = await step.observe()
    assert (await step.apply(seen)).changed
    assert not (await step.apply(seen)).changed
    now = api.objects[web]["spec"]["template"]["metadata"]["annotations"]
    assert now == {"homeostat.io/restarted-by": "run/0"}
    assert {**before, "template": None} == {**api.objects[web]["spec"], "template": None}
    assert api.objects[web]["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    with pytest.raises(IrreversibleError):
        await step.undo(seen, await step.observe(), files_restored=False)
    assert (await step.undo(seen, await step.observe(), files_restored=True)).changed
    assert not (await restart().undo(seen, seen, files_restored=False)).changed


async def test_a_paused_workload_is_not_restarted(api: ApiServer, web: str) -> None:
    api.objects[web]["spec"]["paused"] = True
    with pytest.raises(ActuatorError, match="paused"):
        await restart().observe()


async def test_scaling_stays_within_its_bounds_and_goes_back(api: ApiServer, web: str) -> None:
    step = scale(add=2, max=3)
    seen = await step.observe()
    assert step.describe(seen) == "scale deployment web from 2 to 3 (within 1 to 3)"
    await step.apply(seen)
    assert not (await step.apply(seen)).changed
    assert api.objects[web]["spec"]["replicas"] == 3
    at_bound = await step.observe()
    with pytest.raises(ActuatorError, match="its bound"):
        await step.apply(at_bound)
    await step.undo(seen, at_bound, files_restored=False)
    assert api.objects[web]["spec"]["replicas"] == 2
    assert not (await step.undo(seen, seen, files_restored=False)).changed


async def test_a_number_outside_the_bounds_is_never_moved_the_other_way(api: ApiServer, web: str) -> None:
    api.objects[web]["spec"]["replicas"] = 9
    assert (await scale(add=1).observe())["to"] == 9
    assert (await scale(add=-1).observe())["to"] == 5
    assert (await scale(replicas=4).observe())["to"] == 4


async def test_what_an_autoscaler_set_meanwhile_is_left(api: ApiServer, web: str) -> None:
    step = scale(replicas=4)
    seen = await step.observe()
    api.before_patch = lambda path: api.put(
        path, {**api.objects[path], "spec": {**api.objects[path]["spec"], "replicas": 7}}
    )
    with pytest.raises(ActuatorError, match="scaled to 7 by somebody else"):
        await step.apply(seen)
    assert api.objects[web]["spec"]["replicas"] == 7


async def test_a_conflict_about_something_else_is_overcome_and_endless_ones_are_told(api: ApiServer, web: str) -> None:
    step, conflicts = scale(replicas=4), 2

    def touch(path: str) -> None:
        nonlocal conflicts
        if conflicts:
            conflicts -= 1
            api.put(path, {**api.objects[path], "status": {"observedGeneration": conflicts}})

    api.before_patch = touch
    await step.apply(await step.observe())
    assert api.objects[web]["spec"]["replicas"] == 4
    conflicts = 99
    with pytest.raises(ActuatorError, match="changed by somebody else at the same moment"):
        await step.undo({"from": 2, "to": 4}, {}, files_restored=False)


async def test_a_deployment_gets_the_template_before_and_this_one_again(api: ApiServer, web: str) -> None:
    before = copy.deepcopy(api.objects[web]["spec"])
    step = roll_back(Drawer())
    seen = await step.observe()
    assert step.describe(seen) == "roll back deployment web from revision 2 to 1"
    assert (await step.apply(seen)).changed
    assert not (await step.apply(seen)).changed
    now = api.objects[web]["spec"]["template"]
    assert now == template("web:1", env=[{"name": "OLD", "value": "1"}]), "without the label of the ReplicaSet"
    assert (await step.undo(seen, await step.observe(), files_restored=False)).changed
    assert api.objects[web]["spec"] == before
    assert not (await step.undo(seen, seen, files_restored=False)).changed


async def test_a_rollout_that_came_between_is_not_overwritten(api: ApiServer, web: str) -> None:
    step = roll_back(Drawer())
    seen = await step.observe()
    api.objects[web]["spec"]["template"] = template("web:3")
    api._control(web)
    with pytest.raises(ActuatorError, match="got revision 3"):
        await step.apply(seen)
    again = roll_back(Drawer())
    seen = await again.observe()
    await again.apply(seen)
    api.objects[web]["spec"]["template"] = template("web:4")
    api._control(web)
    with pytest.raises(ActuatorError, match="changed by somebody else since"):
        await again.undo(seen, await again.observe(), files_restored=False)


async def test_without_a_revision_before_there_is_nothing_to_go_back_to(api: ApiServer) -> None:
    api.deployment("web", template("web:1"))
    with pytest.raises(ActuatorError, match="no revision before 1"):
        await roll_back(Drawer()).observe()


async def test_a_node_is_cordoned_and_opened_again(api: ApiServer) -> None:
    action = CordonNode(cluster=cluster(), node="worker-1")
    cordon, uncordon = MarkNode(context_of(), action, True), MarkNode(context_of(), action, False)
    seen = await cordon.observe()
    await cordon.apply(seen)
    assert not (await cordon.apply(seen)).changed
    assert api.objects[NODE]["spec"] == {"podCIDR": "10.0.0.0/24", "unschedulable": True}
    await cordon.undo(seen, await cordon.observe(), files_restored=False)
    assert api.objects[NODE]["spec"] == {"podCIDR": "10.0.0.0/24"}
    assert not (await uncordon.apply(await uncordon.observe())).changed


async def test_refusals_say_what_is_missing_and_never_the_token(
    api: ApiServer, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.forbidden.add(("PATCH", web))
    seen = await restart().observe()
    with pytest.raises(ActuatorError, match="doesn't allow PATCH of deployment web"):
        await restart().apply(seen)
    with pytest.raises(ActuatorError, match="no daemonset web"):
        await restart(kind="daemonset").observe()
    monkeypatch.setenv("KUBE_TOKEN", "wrong-canary")
    with pytest.raises(ActuatorError, match="doesn't allow GET") as refused:
        await restart().observe()
    assert "canary" not in str(refused.value)
    monkeypatch.setenv("KUBE_API", "http://127.0.0.1:9")
    with pytest.raises(ActuatorError, match="can't be asked"):
        await restart().observe()


def test_the_pods_own_account_is_the_default_and_a_token_never_travels_in_clear() -> None:
    assert Cluster().api == "https://kubernetes.default.svc"
    for address in ("http://kubernetes.default.svc", "https://user:secret@host", "http://127.0.0.1.evil"):
        with pytest.raises(ValidationError):
            Cluster(api=address)


@pytest.mark.parametrize(
    "how", [{"max": 3}, {"max": 3, "replicas": 4}, {"max": 3, "add": 0}, {"min": 4, "max": 3, "add": 1}]
)
def test_scaling_needs_one_way_and_bounds_that_hold(how: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        ScaleWorkload(name="web", **how)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abc"), _values), st.dictionaries(st.sampled_from("abc"), _values))
def test_a_merge_patch_leads_from_one_object_to_the_other(old: dict[str, object], new: dict[str, object]) -> None:
    old, new = without_nulls(old), without_nulls(new)
    assert merged(old, merge_patch(old, new)) == new
