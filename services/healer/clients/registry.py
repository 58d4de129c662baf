"""Which actuator stands behind which name in a playbook. Adding one: see docs/how-to/add-an-actuator.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from services.healer.clients.base import Actuator, Context
from services.healer.clients.docker_actuators import DockerRestart, DockerStart
from services.healer.clients.file_actuators import RestoreLastGood, SetKey, StepKey
from services.healer.clients.files import absolute
from services.healer.clients.http_actuator import CallHttp
from services.healer.clients.process_actuators import (
    ProcessReload,
    ProcessRestart,
    ProcessStart,
    ProcessStop,
    declared,
    signal_named,
)
from services.healer.clients.spawn import Spawner
from services.healer.clients.sql_actuator import ExecuteSql
from shared.packs.model import (
    ConfigStep,
    DockerAction,
    FileRestore,
    FileSet,
    HttpCall,
    ProcessAction,
    SqlStatement,
    Step,
)

type Action = ProcessAction | DockerAction | FileRestore | FileSet | ConfigStep | HttpCall | SqlStatement


def _make[A](kind: type[A], make: Callable[[A, Context, Spawner], Actuator]) -> Callable[..., Actuator]:
    def checked(action: Action, context: Context, spawner: Spawner) -> Actuator:
        if not isinstance(action, kind):
            raise TypeError(f"{action!r} is not a {kind.__name__}")
        return make(action, context, spawner)

    return checked


ACTUATORS: Mapping[str, Callable[[Action, Context, Spawner], Actuator]] = {
    "process.start": _make(ProcessAction, lambda _, c, s: ProcessStart(c, s, declared(c))),
    "process.stop": _make(ProcessAction, lambda _, c, s: ProcessStop(c, s, declared(c))),
    "process.restart": _make(ProcessAction, lambda _, c, s: ProcessRestart(c, s, declared(c))),
    "process.reload": _make(ProcessAction, lambda a, c, s: ProcessReload(c, s, declared(c), signal_named(a.signal))),
    "docker.restart": _make(DockerAction, lambda a, c, _: DockerRestart(c, a)),
    "docker.start": _make(DockerAction, lambda a, c, _: DockerStart(c, a)),
    "file.restore_last_good": _make(FileRestore, lambda a, c, _: RestoreLastGood(c, absolute(a.path))),
    "file.set": _make(FileSet, lambda a, c, _: SetKey(c, a.model_copy(update={"path": absolute(a.path)}))),
    "config.step": _make(ConfigStep, lambda a, c, _: StepKey(c, a.model_copy(update={"path": absolute(a.path)}))),
    "http.call": _make(HttpCall, lambda a, c, _: CallHttp(c, a)),
    "sql.execute": _make(SqlStatement, lambda a, c, _: ExecuteSql(c, a)),
}


def actuator_for(step: Step, context: Context, spawner: Spawner) -> Actuator:
    """The actuator of an interpolated step. Raises ActuatorError when the component lacks what it needs."""
    action: Action = getattr(step, step.actuator.replace(".", "_"))
    return ACTUATORS[step.actuator](action, context, spawner)
