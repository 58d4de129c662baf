"""The API server of a Kubernetes cluster over HTTP: an object is read, and patched if it still is what was read."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from services.healer.clients.base import ActuatorError
from services.healer.clients.secrets import read_secret
from services.healer.domain.merge_patch import Json, JsonMap
from shared.packs.actions.kubernetes import Cluster

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
_PATHS = {
    "deployment": "/apis/apps/v1/namespaces/{namespace}/deployments/{name}",
    "statefulset": "/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}",
    "daemonset": "/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}",
    "node": "/api/v1/nodes/{name}",
}
_SHOWN = 300


class ChangedError(ActuatorError):
    """The object is not what it was when it was read: read again, then decide."""


@dataclass(frozen=True, slots=True)
class Api:
    """Requests as one identity. Raises ActuatorError, which never holds the token."""

    cluster: Cluster
    timeout_s: float

    async def read(self, kind: str, name: str, namespace: str = "") -> JsonMap:
        return await self._ask("GET", path_of(kind, name, namespace), f"{kind} {name}")

    async def list(self, path: str, selector: str) -> list[JsonMap]:
        """Objects with these labels. Fails where there are more than one page of them."""
        found = await self._ask("GET", path, path, params={"labelSelector": selector, "limit": "500"})
        if fields(found, "metadata").get("continue"):
            raise ActuatorError(f"more than 500 objects at {path} match {selector}: lower revisionHistoryLimit")
        items = found.get("items")
        return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []

    async def patch(self, kind: str, name: str, namespace: str, seen: JsonMap, change: JsonMap, form: str) -> JsonMap:
        """Patches the object as it was `seen`. Raises ChangedError when it has changed since."""
        version = fields(seen, "metadata").get("resourceVersion")
        metadata = {**fields(change, "metadata"), "resourceVersion": version}
        return await self._ask(
            "PATCH", path_of(kind, name, namespace), f"{kind} {name}", body={**change, "metadata": metadata}, form=form
        )

    async def _ask(
        self,
        method: str,
        path: str,
        what: str,
        *,
        params: Mapping[str, str] | None = None,
        body: JsonMap | None = None,
        form: str = "application/json",
    ) -> JsonMap:
        token = read_secret(self.cluster.token, os.environ)
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", "Content-Type": form}
        try:
            async with httpx.AsyncClient(verify=self._trust(), timeout=self.timeout_s, trust_env=False) as client:
                response = await client.request(
                    method, f"{self.cluster.api}{path}", params=params, json=body, headers=headers
                )
        except httpx.HTTPError as error:
            raise ActuatorError(
                f"{self.cluster.api} can't be asked for {what}: {type(error).__name__}: {error}"
            ) from error
        return self._answer(response, method, what)

    def _trust(self) -> ssl.SSLContext | bool:
        if self.cluster.api.startswith("http://"):
            return True
        try:
            return ssl.create_default_context(cafile=self.cluster.ca_file)
        except OSError as error:
            raise ActuatorError(f"can't read certificates from {self.cluster.ca_file}: {error}") from error

    def _answer(self, response: httpx.Response, method: str, what: str) -> JsonMap:
        try:
            told = response.json()
        except ValueError:
            told = {}
        if not isinstance(told, dict):
            told = {}
        said = str(told.get("message", ""))[:_SHOWN]
        match response.status_code:
            case httpx.codes.CONFLICT:
                raise ChangedError(f"{what} was changed by somebody else at the same moment: {said}")
            case httpx.codes.NOT_FOUND:
                raise ActuatorError(f"{self.cluster.api} has no {what}: {said}")
            case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN:
                raise ActuatorError(
                    f"{self.cluster.api} doesn't allow {method} of {what}: {said}; grant it to the account"
                )
            case code if code >= httpx.codes.MULTIPLE_CHOICES:
                raise ActuatorError(f"{self.cluster.api} answered {code} to {method} of {what}: {said}")
        return told


def path_of(kind: str, name: str, namespace: str) -> str:
    return _PATHS[kind].format(name=name, namespace=namespace)


def fields(holder: Mapping[str, Json], *names: str) -> JsonMap:
    """The mapping that lies at these names; empty where there is none."""
    here: Json = dict(holder)
    for name in names:
        here = here.get(name) if isinstance(here, dict) else None
    return here if isinstance(here, dict) else {}


def labels_selector(found: JsonMap) -> str:
    """The selector of a workload's pods, as a query. Raises ActuatorError when it has expressions."""
    selector = fields(found, "spec", "selector")
    if selector.get("matchExpressions"):
        raise ActuatorError("its selector has matchExpressions, which aren't followed here: roll it back by hand")
    return ",".join(f"{name}={value}" for name, value in sorted(fields(selector, "matchLabels").items()))
