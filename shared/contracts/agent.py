"""What the healer and an agent on another host say to each other, by request and reply on `agent.<name>.order`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from shared.contracts.base import Scalar, Token, Wire
from shared.packs.component import Component
from shared.packs.playbook import Step

SWITCH_SUBJECT = "agent.all.switch"
"""Every second the healers say here whether their kill switch is on."""
FILE_BYTES_MAX = 512 * 1024
"""A larger file doesn't fit into a message with room to spare."""


def order_subject(agent: str) -> str:
    return f"agent.{agent}.order"


def beat_subject(agent: str) -> str:
    return f"beat.{agent}"


class FileContent(Wire):
    """A file whole; `sha256` is empty where there is none."""

    path: str
    sha256: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    link: str | None = None
    """Where the path points to if it is a symbolic link, "" if it is none; null: whatever it is there."""
    content: Annotated[str, Field(repr=False)] = ""
    """Base64."""


class AgentOrder(Wire):
    """One thing to do. `observe` and `read` only look; `apply`, `undo` and `replace` need a fence that is not stale."""

    key: str
    """`<decision>/<step>`: the same at every repetition, so that it is done once."""
    verb: Literal["observe", "apply", "undo", "read", "replace"]
    fence: Annotated[int, Field(ge=0)] = 0
    """Grows with every order of a healer that is in charge; an older one than was seen for the component is stale."""
    component: Token
    target: Component
    timeout_s: float = 30
    step: Step | None = None
    """With every placeholder replaced; not for `read` and `replace`."""
    http_hosts: tuple[str, ...] = ()
    seen: dict[str, Scalar] = {}
    """What was seen before the step."""
    now: dict[str, Scalar] = {}
    files_restored: bool = False
    good: tuple[FileContent, ...] = ()
    """The newest good versions of the files that the step changes, without content."""
    blobs: dict[str, str] = {}
    """Content in Base64 by sha256, of what the step may write."""
    file: FileContent | None = None
    """For `read` the path; for `replace` what is wanted."""
    expected_sha256: str = ""


class AgentReply(Wire):
    """What came of an order; `error` says what, where and the remedy."""

    error: str = ""
    irreversible: bool = False
    detail: str = ""
    changed: bool = True
    facts: dict[str, Scalar] = {}
    file: FileContent | None = None


class AgentBeat(Wire):
    """An agent's sign of life, every two seconds."""

    name: Token
    version: str
    at: AwareDatetime
    actuators: tuple[str, ...] = ()
    """What its allow-list lets it do."""
    switched_off: bool = False
