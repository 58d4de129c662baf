"""kubernetes.restart, scale, rollback, cordon and uncordon.

Every change carries the resourceVersion that was read just before: what somebody else changes meanwhile is seen again,
at most three times, and never overwritten.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from services.healer.clients.base import ActuatorError, Context, Done, Facts, IrreversibleError, number, text
from services.healer.clients.kubernetes import (
    MERGE,
    STRATEGIC,
    Api,
    ChangedError,
    fields,
    labels_selector,
)
from services.healer.domain.merge_patch import Json, JsonMap, merge_patch, without_nulls
from shared.packs.actions.kubernetes import CordonNode, OnCluster, RestartWorkload, RollBackDeployment, ScaleWorkload

RESTARTED_BY = "homeostat.io/restarted-by"
REVISION = "deployment.kubernetes.io/revision"
_HASH_LABEL = "pod-template-hash"
_TRIES = 3


async def _until_unchanged[T](work: Callable[[], Awaitable[T]]) -> T:
    """Does `work` again when somebody was faster."""
    for _ in range(_TRIES - 1):
        try:
            return await work()
        except ChangedError:
            continue
    return await work()


def _api(context: Context, action: OnCluster) -> Api:
    return Api(action.cluster, context.timeout_s)


def _annotations(found: JsonMap) -> JsonMap:
    return fields(found, "spec", "template", "metadata", "annotations")


@dataclass(frozen=True, slots=True)
class RestartPods:
    """Changes an annotation of the pod template, so that the cluster replaces the pods in the workload's own way."""

    context: Context
    action: RestartWorkload

    @property
    def resource(self) -> str:
        return f"kubernetes:{self.action.namespace}/{self.action.kind}/{self.action.name}"

    @property
    def files(self) -> Sequence[str]:
        return ()

    async def observe(self) -> Facts:
        found = await self._read()
        if fields(found, "spec").get("paused"):
            raise ActuatorError(f"{self.resource} is paused, so that nothing would be restarted: resume it first")
        return {"restarted_by": str(_annotations(found).get(RESTARTED_BY, ""))}

    async def _read(self) -> JsonMap:
        return await _api(self.context, self.action).read(self.action.kind, self.action.name, self.action.namespace)

    def describe(self, seen: Facts) -> str:
        return f"restart {self.action.kind} {self.action.name} in {self.action.namespace}"

    async def apply(self, seen: Facts) -> Done:
        return await _until_unchanged(lambda: self._restart(self.context.key))

    async def _restart(self, by: str) -> Done:
        found = await self._read()
        if _annotations(found).get(RESTARTED_BY) == by:
            return Done(f"{self.resource} was restarted already", changed=False)
        change: JsonMap = {"spec": {"template": {"metadata": {"annotations": {RESTARTED_BY: by}}}}}
        api = _api(self.context, self.action)
        await api.patch(self.action.kind, self.action.name, self.action.namespace, found, change, STRATEGIC)
        return Done(f"restarted {self.resource}")

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        if now["restarted_by"] != self.context.key:
            return Done("had not been restarted", changed=False)
        if not files_restored:
            raise IrreversibleError(f"the restart of {self.resource} can't be undone")
        return await _until_unchanged(lambda: self._restart(f"{self.context.key}/undo"))


@dataclass(frozen=True, slots=True)
class ScalePods:
    """Where it goes is reckoned once, when looking: a repetition goes to the same number, never further."""

    context: Context
    action: ScaleWorkload

    @property
    def resource(self) -> str:
        return f"kubernetes:{self.action.namespace}/{self.action.kind}/{self.action.name}"

    @property
    def files(self) -> Sequence[str]:
        return ()

    async def observe(self) -> Facts:
        now = _replicas(await self._read())
        wanted = now + self.action.add if self.action.add is not None else self.action.replicas
        goal = min(max(wanted or 0, self.action.min), self.action.max)
        if self.action.add is not None and (goal - now) * self.action.add <= 0:
            goal = now  # outside its bounds already, and a step never goes the other way
        return {"from": now, "to": goal}

    async def _read(self) -> JsonMap:
        return await _api(self.context, self.action).read(self.action.kind, self.action.name, self.action.namespace)

    def describe(self, seen: Facts) -> str:
        bounds = f"within {self.action.min} to {self.action.max}"
        return f"scale {self.action.kind} {self.action.name} from {seen['from']} to {seen['to']} ({bounds})"

    async def apply(self, seen: Facts) -> Done:
        old, new = number(seen, "from"), number(seen, "to")
        if old == new:
            raise ActuatorError(
                f"{self.resource} has {old} replicas, its bound: another playbook or a person must help"
            )
        return await _until_unchanged(lambda: self._set(old, new))

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        old, new = number(before, "from"), number(before, "to")
        return await _until_unchanged(lambda: self._set(new, old))

    async def _set(self, old: int, new: int) -> Done:
        found = await self._read()
        now = _replicas(found)
        if now == new:
            return Done(f"{self.resource} has {new} replicas already", changed=False)
        if now != old:
            raise ActuatorError(f"{self.resource} was scaled to {now} by somebody else (an autoscaler?): left as it is")
        api = _api(self.context, self.action)
        change: JsonMap = {"spec": {"replicas": new}}
        await api.patch(self.action.kind, self.action.name, self.action.namespace, found, change, MERGE)
        return Done(f"scaled {self.resource}: {old} → {new}")


def _replicas(found: JsonMap) -> int:
    replicas = fields(found, "spec").get("replicas", 1)
    return replicas if isinstance(replicas, int) else 1


@dataclass(frozen=True, slots=True)
class RollBackTemplate:
    """The template as it was is kept before it is replaced, so that the way back is exact."""

    context: Context
    action: RollBackDeployment

    @property
    def resource(self) -> str:
        return f"kubernetes:{self.action.namespace}/deployment/{self.action.name}"

    @property
    def files(self) -> Sequence[str]:
        return ()

    async def observe(self) -> Facts:
        found = await self._read()
        if await self.context.kept() is not None:  # looking back: the step has been begun
            return {"revision": _revision(found), "to": ""}
        if fields(found, "spec").get("paused"):
            raise ActuatorError(f"{self.resource} is paused: resume it first")
        return {"revision": _revision(found), "to": _revision(await self._previous(found))}

    async def _read(self) -> JsonMap:
        return await _api(self.context, self.action).read("deployment", self.action.name, self.action.namespace)

    async def _previous(self, found: JsonMap) -> JsonMap:
        """Its ReplicaSet of the revision before. Raises ActuatorError when it has none."""
        path = f"/apis/apps/v1/namespaces/{self.action.namespace}/replicasets"
        uid, now = fields(found, "metadata").get("uid"), _ordinal(found)
        owned = [
            item
            for item in await _api(self.context, self.action).list(path, labels_selector(found))
            if any(isinstance(owner, dict) and owner.get("uid") == uid for owner in _owners(item))
        ]
        earlier = [item for item in owned if 0 < _ordinal(item) < now]
        if not earlier:
            raise ActuatorError(f"{self.resource} has no revision before {now} to go back to")
        return max(earlier, key=_ordinal)

    def describe(self, seen: Facts) -> str:
        return f"roll back deployment {self.action.name} from revision {seen['revision']} to {seen['to']}"

    async def apply(self, seen: Facts) -> Done:
        return await _until_unchanged(lambda: self._roll_back(text(seen, "revision"), text(seen, "to")))

    async def _roll_back(self, revision: str, goal: str) -> Done:
        found = await self._read()
        kept = await self.context.kept()
        if kept is not None and _template(found) == json.loads(kept)["to"]:
            return Done(f"{self.resource} was rolled back already", changed=False)
        if _revision(found) != revision:
            raise ActuatorError(
                f"{self.resource} got revision {_revision(found)} since it was looked at: left as it is"
            )
        previous = await self._previous(found)
        if _revision(previous) != goal:
            raise ActuatorError(f"{self.resource}: revision {goal} is gone since it was looked at: nothing is done")
        pair = {"from": _template(found), "to": _template(previous)}
        await self.context.keep(json.dumps(pair).encode())
        await self._replace(found, pair["to"])
        return Done(f"rolled back {self.resource}: revision {revision} → {goal}")

    async def _replace(self, found: JsonMap, template: JsonMap) -> None:
        """The whole template: fields that it lacks go, in the one way in which a merge patch can say so."""
        change: JsonMap = {"spec": {"template": merge_patch(fields(found, "spec", "template"), template)}}
        api = _api(self.context, self.action)
        await api.patch("deployment", self.action.name, self.action.namespace, found, change, MERGE)

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        kept = await self.context.kept()
        if kept is None:
            return Done("had not been rolled back", changed=False)
        pair = json.loads(kept)
        return await _until_unchanged(lambda: self._back(pair["from"], pair["to"]))

    async def _back(self, old: JsonMap, new: JsonMap) -> Done:
        found = await self._read()
        if _template(found) == old:
            return Done(f"{self.resource} has its template already", changed=False)
        if _template(found) != new:
            raise ActuatorError(f"the template of {self.resource} was changed by somebody else since: left as it is")
        await self._replace(found, old)
        return Done(f"{self.resource} has the template again that it had before")


def _owners(item: JsonMap) -> Sequence[Json]:
    owners = fields(item, "metadata").get("ownerReferences")
    return owners if isinstance(owners, list) else ()


def _revision(found: JsonMap) -> str:
    return str(fields(found, "metadata", "annotations").get(REVISION, ""))


def _ordinal(found: JsonMap) -> int:
    revision = _revision(found)
    return int(revision) if revision.isdecimal() else 0


def _template(found: JsonMap) -> JsonMap:
    """The pod template without the label by which a ReplicaSet tells its pods."""
    template = without_nulls(fields(found, "spec", "template"))
    fields(template, "metadata", "labels").pop(_HASH_LABEL, None)
    return template


@dataclass(frozen=True, slots=True)
class MarkNode:
    """Cordons a node, or lifts that."""

    context: Context
    action: CordonNode
    unschedulable: bool

    @property
    def resource(self) -> str:
        return f"kubernetes:node/{self.action.node}"

    @property
    def files(self) -> Sequence[str]:
        return ()

    async def observe(self) -> Facts:
        return {"unschedulable": _is_cordoned(await self._read())}

    async def _read(self) -> JsonMap:
        return await _api(self.context, self.action).read("node", self.action.node)

    def describe(self, seen: Facts) -> str:
        now = "cordoned" if seen["unschedulable"] else "open for new pods"
        return f"{'cordon' if self.unschedulable else 'uncordon'} node {self.action.node} ({now})"

    async def apply(self, seen: Facts) -> Done:
        return await _until_unchanged(lambda: self._mark(self.unschedulable))

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        return await _until_unchanged(lambda: self._mark(bool(before["unschedulable"])))

    async def _mark(self, unschedulable: bool) -> Done:
        found = await self._read()
        words = f"node {self.action.node} is {'cordoned' if unschedulable else 'open for new pods'}"
        if _is_cordoned(found) == unschedulable:
            return Done(f"{words} already", changed=False)
        change: JsonMap = {"spec": {"unschedulable": True if unschedulable else None}}
        await _api(self.context, self.action).patch("node", self.action.node, "", found, change, MERGE)
        return Done(words)


def _is_cordoned(found: JsonMap) -> bool:
    return bool(fields(found, "spec").get("unschedulable"))
