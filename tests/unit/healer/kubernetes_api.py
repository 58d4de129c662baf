"""As much of a Kubernetes API server as the actuators use, over real HTTP, on objects that it really keeps.

It follows the API's documented conventions: optimistic locking by resourceVersion (409), merge patches (RFC 7386),
strategic merge of maps, 401, 403 and 404 with a Status object, label selectors. What a deployment controller does is
done at once when a template changes: a ReplicaSet per template, revisions counted on, an old one's used again.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

type Object = dict[str, object]

REVISION = "deployment.kubernetes.io/revision"


def merged(target: object, patch: object) -> object:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@dataclass
class ApiServer:
    token: str = "token-canary"
    objects: dict[str, Object] = field(default_factory=dict)
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    before_patch: Callable[[str], None] = lambda _path: None
    version: int = 100
    port: int = 0

    # ---- objects

    def put(self, path: str, found: Object) -> Object:
        self.version += 1
        metadata = {"uid": f"uid-{path}", **dict(found.get("metadata", {})), "resourceVersion": str(self.version)}
        metadata["name"] = path.rsplit("/", 1)[1]
        self.objects[path] = {**found, "metadata": metadata}
        return self.objects[path]

    def deployment(self, name: str, template: Object, replicas: int = 2) -> str:
        path = f"/apis/apps/v1/namespaces/shop/deployments/{name}"
        spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
        self.put(path, {"kind": "Deployment", "spec": spec})
        self._control(path)
        return path

    def _control(self, path: str) -> None:
        """What the deployment controller would do about a template."""
        found = self.objects[path]
        template = found["spec"]["template"]
        name = found["metadata"]["name"]
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
        folder = path.rsplit("/", 2)[0]
        sets = [one for key, one in self.objects.items() if key.startswith(f"{folder}/replicasets/{name}-")]
        newest = max((int(one["metadata"]["annotations"][REVISION]) for one in sets), default=0)
        own = f"{folder}/replicasets/{name}-{digest}"
        current = self.objects.get(own)
        if current is None or int(current["metadata"]["annotations"][REVISION]) < newest:
            newest += 1
        labelled = copy.deepcopy(template)
        labelled.setdefault("metadata", {}).setdefault("labels", {})["pod-template-hash"] = digest
        metadata = {
            "labels": {"app": name},
            "annotations": {REVISION: str(newest)},
            "ownerReferences": [{"kind": "Deployment", "name": name, "uid": found["metadata"]["uid"]}],
        }
        self.put(own, {"kind": "ReplicaSet", "metadata": metadata, "spec": {"template": labelled}})
        metadata = {**found["metadata"], "annotations": {REVISION: str(newest)}}
        self.put(path, {**found, "metadata": metadata})

    # ---- requests

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, object]:
        address = urlsplit(target)
        self.asked.append((method, address.path, headers.get("content-type", "")))
        if headers.get("authorization") != f"Bearer {self.token}":
            return self._status(401, "Unauthorized")
        if (method, address.path) in self.forbidden:
            return self._status(403, f'User "homeostat" cannot {method.lower()} resource at {address.path}')
        if method == "GET" and address.path.endswith("/replicasets"):
            return 200, {"metadata": {}, "items": self._selected(address.path, parse_qs(address.query))}
        found = self.objects.get(address.path)
        if found is None:
            return self._status(404, f"{address.path.rsplit('/', 1)[1]!r} not found")
        if method == "GET":
            return 200, found
        return self._patched(address.path, headers.get("content-type", ""), json.loads(body))

    def _selected(self, path: str, query: dict[str, list[str]]) -> list[Object]:
        wanted = dict(pair.split("=") for pair in query["labelSelector"][0].split(","))
        return [
            one
            for key, one in self.objects.items()
            if key.startswith(f"{path}/") and wanted.items() <= one["metadata"]["labels"].items()
        ]

    def _patched(self, path: str, form: str, patch: Object) -> tuple[int, object]:
        self.before_patch(path)
        found = self.objects[path]
        if form not in ("application/merge-patch+json", "application/strategic-merge-patch+json"):
            return self._status(415, f"the body of the request was in an unknown format: {form}")
        version = patch.get("metadata", {}).get("resourceVersion")
        if version is not None and version != found["metadata"]["resourceVersion"]:
            return self._status(409, "the object has been modified; please apply your changes to the latest version")
        made = merged(found, patch)
        if made == found:
            return 200, found
        template_changed = found["spec"].get("template") != made["spec"].get("template")
        self.put(path, made)
        if template_changed and "/deployments/" in path:
            self._control(path)
        return 200, self.objects[path]

    def _status(self, code: int, message: str) -> tuple[int, Object]:
        return code, {"kind": "Status", "status": "Failure", "code": code, "message": message}

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            pairs = (line.partition(":") for line in lines if line)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            method, target, _ = first.split()
            status, told = self.answer(method, target, headers, body)
            payload = json.dumps(told).encode()
            head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(payload)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + payload)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
