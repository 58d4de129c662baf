"""Workloads and nodes of a Kubernetes cluster."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.packs.base import Part, Path
from shared.packs.component import SecretRef

_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9$]([a-zA-Z0-9._${}-]{0,251}[a-z0-9}])?$")]


class Cluster(Part):
    """Where the API server is and as whom it is asked; by default as the pod in which the healer runs."""

    api: Annotated[str, Field(pattern=r"^https://[^@/\s]+$|^http://(127\.0\.0\.1|localhost)(:\d+)?$")] = (
        "https://kubernetes.default.svc"
    )
    token: SecretRef = SecretRef(file=f"{_ACCOUNT}/token")
    ca_file: Path = f"{_ACCOUNT}/ca.crt"
    """The certificates that the server's own is checked with."""


class OnCluster(Part):
    cluster: Cluster = Cluster()


class RestartWorkload(OnCluster):
    """Replaces the pods of a workload in its own way, as `kubectl rollout restart` does."""

    kind: Literal["deployment", "statefulset", "daemonset"] = "deployment"
    name: ObjectName
    namespace: ObjectName = "default"


class ScaleWorkload(OnCluster):
    """Sets or changes how many pods a workload has, never beyond its bounds."""

    kind: Literal["deployment", "statefulset"] = "deployment"
    name: ObjectName
    namespace: ObjectName = "default"
    replicas: Annotated[int, Field(ge=0, le=1_000)] | None = None
    add: Annotated[int, Field(ge=-100, le=100)] | None = None
    min: Annotated[int, Field(ge=0, le=1_000)] = 1
    max: Annotated[int, Field(ge=1, le=1_000)]

    @model_validator(mode="after")
    def _within_bounds(self) -> ScaleWorkload:
        if (self.replicas is None) == (self.add is None):
            raise ValueError("kubernetes.scale has exactly one of `replicas` and `add`: leave one out")
        if self.add == 0:
            raise ValueError("kubernetes.scale must change something: `add` other than 0")
        if self.min > self.max:
            raise ValueError(f"kubernetes.scale needs min <= max, not {self.min} and {self.max}: swap them")
        if self.replicas is not None and not self.min <= self.replicas <= self.max:
            raise ValueError(f"replicas = {self.replicas} is outside {self.min} to {self.max}: change one of them")
        return self


class RollBackDeployment(OnCluster):
    """Gives a deployment the pod template of its revision before, as `kubectl rollout undo` does."""

    name: ObjectName
    namespace: ObjectName = "default"


class CordonNode(OnCluster):
    """Whether new pods may be put on a node; those that are there stay."""

    node: ObjectName
