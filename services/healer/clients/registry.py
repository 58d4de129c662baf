"""Which actuator stands behind which name in a playbook. Adding one: see docs/how-to/add-an-actuator.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from services.healer.clients.base import Actuator, Context
from services.healer.clients.docker_actuators import DockerRestart, DockerStart, DockerStop
from services.healer.clients.file_actuators import RestoreLastGood, SetKey, StepKey
from services.healer.clients.files import absolute
from services.healer.clients.git_actuator import RevertCommits
from services.healer.clients.http_actuator import CallHttp
from services.healer.clients.job_actuators import ChangeJobs
from services.healer.clients.kubernetes_actuators import MarkNode, RestartPods, RollBackTemplate, ScalePods
from services.healer.clients.nats_actuator import RequestNats
from services.healer.clients.pool_actuators import EndIdleConnections, SetConnectionLimit
from services.healer.clients.process_actuators import (
    ProcessReload,
    ProcessRestart,
    ProcessStart,
    ProcessStop,
    declared,
    signal_named,
)
from services.healer.clients.redis_actuators import InvalidateKeys, SetRedisParameter
from services.healer.clients.routing import actuators as routing
from services.healer.clients.spawn import Spawner
from services.healer.clients.sql_actuator import ExecuteSql
from services.healer.clients.systemd_actuators import UnitReload, UnitRestart, UnitStart, UnitStop
from services.healer.clients.telling import PostWebhook, SendNotice
from shared.packs.actions.calls import HttpCall, NatsRequest, SqlStatement, WebhookPost
from shared.packs.actions.databases import (
    ConnectionLimit,
    JobsCleanUp,
    JobsMarkIncomplete,
    JobsRequeue,
    TerminateIdle,
)
from shared.packs.actions.files import ConfigStep, FileRestore, FileSet
from shared.packs.actions.kubernetes import CordonNode, RestartWorkload, RollBackDeployment, ScaleWorkload
from shared.packs.actions.programs import DockerAction, ProcessAction, SystemdUnit
from shared.packs.actions.repositories import GitRevert
from shared.packs.actions.routing import RoutingBreaker, RoutingFailback, RoutingFailover
from shared.packs.actions.stores import RedisConfigSet, RedisInvalidate
from shared.packs.actions.telling import NotifySend
from shared.packs.base import Part
from shared.packs.model import Step

type _Maker = Callable[[Part, Context, Spawner], Actuator]


def _make[A: Part](kind: type[A], make: Callable[[A, Context, Spawner], Actuator]) -> _Maker:
    def checked(action: Part, context: Context, spawner: Spawner) -> Actuator:
        if not isinstance(action, kind):
            raise TypeError(f"{action!r} is not a {kind.__name__}")
        return make(action, context, spawner)

    return checked


ACTUATORS: Mapping[str, _Maker] = {
    "process.start": _make(ProcessAction, lambda _, c, s: ProcessStart(c, s, declared(c))),
    "process.stop": _make(ProcessAction, lambda _, c, s: ProcessStop(c, s, declared(c))),
    "process.restart": _make(ProcessAction, lambda _, c, s: ProcessRestart(c, s, declared(c))),
    "process.reload": _make(ProcessAction, lambda a, c, s: ProcessReload(c, s, declared(c), signal_named(a.signal))),
    "docker.restart": _make(DockerAction, lambda a, c, _: DockerRestart(c, a)),
    "docker.start": _make(DockerAction, lambda a, c, _: DockerStart(c, a)),
    "docker.stop": _make(DockerAction, lambda a, c, _: DockerStop(c, a)),
    "systemd.restart": _make(SystemdUnit, lambda a, c, _: UnitRestart(c, a)),
    "systemd.start": _make(SystemdUnit, lambda a, c, _: UnitStart(c, a)),
    "systemd.stop": _make(SystemdUnit, lambda a, c, _: UnitStop(c, a)),
    "systemd.reload": _make(SystemdUnit, lambda a, c, _: UnitReload(c, a)),
    "kubernetes.restart": _make(RestartWorkload, lambda a, c, _: RestartPods(c, a)),
    "kubernetes.scale": _make(ScaleWorkload, lambda a, c, _: ScalePods(c, a)),
    "kubernetes.rollback": _make(RollBackDeployment, lambda a, c, _: RollBackTemplate(c, a)),
    "kubernetes.cordon": _make(CordonNode, lambda a, c, _: MarkNode(c, a, unschedulable=True)),
    "kubernetes.uncordon": _make(CordonNode, lambda a, c, _: MarkNode(c, a, unschedulable=False)),
    "git.revert": _make(GitRevert, lambda a, c, _: RevertCommits(c, a)),
    "file.restore_last_good": _make(FileRestore, lambda a, c, _: RestoreLastGood(c, absolute(a.path))),
    "file.set": _make(FileSet, lambda a, c, _: SetKey(c, a.model_copy(update={"path": absolute(a.path)}))),
    "config.step": _make(ConfigStep, lambda a, c, _: StepKey(c, a.model_copy(update={"path": absolute(a.path)}))),
    "http.call": _make(HttpCall, lambda a, c, _: CallHttp(c, a)),
    "nats.request": _make(NatsRequest, lambda a, c, _: RequestNats(c, a)),
    "redis.invalidate": _make(RedisInvalidate, lambda a, c, _: InvalidateKeys(c, a)),
    "redis.config_set": _make(RedisConfigSet, lambda a, c, _: SetRedisParameter(c, a)),
    "postgres.terminate_idle": _make(TerminateIdle, lambda a, c, _: EndIdleConnections(c, a)),
    "postgres.connection_limit": _make(ConnectionLimit, lambda a, c, _: SetConnectionLimit(c, a)),
    "jobs.requeue": _make(JobsRequeue, lambda a, c, _: ChangeJobs(c, a)),
    "jobs.mark_incomplete": _make(JobsMarkIncomplete, lambda a, c, _: ChangeJobs(c, a)),
    "jobs.clean_up": _make(JobsCleanUp, lambda a, c, _: ChangeJobs(c, a)),
    "sql.execute": _make(SqlStatement, lambda a, c, _: ExecuteSql(c, a)),
    "webhook.post": _make(WebhookPost, lambda a, c, _: PostWebhook(c, a)),
    "notify.send": _make(NotifySend, lambda a, c, _: SendNotice(c, a)),
    "routing.failover": _make(RoutingFailover, lambda a, c, _: routing.failover(a, c)),
    "routing.failback": _make(RoutingFailback, lambda _, c, __: routing.failback(c)),
    "routing.open": _make(RoutingBreaker, lambda a, c, _: routing.breaker(a, c, "open")),
    "routing.half_open": _make(RoutingBreaker, lambda a, c, _: routing.breaker(a, c, "half-open")),
    "routing.reset": _make(RoutingBreaker, lambda a, c, _: routing.breaker(a, c, "closed")),
}


def actuator_for(step: Step, context: Context, spawner: Spawner) -> Actuator:
    """The actuator of an interpolated step. Raises ActuatorError when the component lacks what it needs."""
    return ACTUATORS[step.actuator](step.action, context, spawner)
