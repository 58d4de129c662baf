"""Git as the system has it: no shell, no hooks, no prompts, nothing fetched or pushed."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.healer.clients.base import ActuatorError

AUTHOR = {
    "GIT_AUTHOR_NAME": "Homeostat",
    "GIT_AUTHOR_EMAIL": "homeostat@localhost",
    "GIT_COMMITTER_NAME": "Homeostat",
    "GIT_COMMITTER_EMAIL": "homeostat@localhost",
}
_QUIET = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.pager=cat",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.allow=never",
)
_BUSY = ("MERGE_HEAD", "REVERT_HEAD", "CHERRY_PICK_HEAD", "rebase-merge", "rebase-apply", "index.lock")
_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Repository:
    """One working tree; every method raises ActuatorError."""

    path: str

    async def run(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
        """What `git` says. Raises ActuatorError unless it ends with 0."""
        code, out, problem = await self._run(arguments, stdin, env or {})
        if code:
            raise ActuatorError(
                f"{self.path}: git {arguments[0]} failed: {problem.strip()[:_SHOWN] or f'status {code}'}"
            )
        return out

    async def text(self, *arguments: str) -> str:
        return (await self.run(*arguments)).decode(errors="replace").strip()

    async def holds(self, *arguments: str) -> bool:
        """Whether `git` ends with 0; 1 means no, anything else is an error."""
        code, _, problem = await self._run(arguments, b"", {})
        if code > 1:
            raise ActuatorError(f"{self.path}: git {arguments[0]} failed: {problem.strip()[:_SHOWN]}")
        return code == 0

    async def _run(self, arguments: tuple[str, ...], stdin: bytes, env: Mapping[str, str]) -> tuple[int, bytes, str]:
        settings = [part for setting in _QUIET for part in ("-c", setting)]
        environment = {
            name: os.environ[name] for name in ("PATH", "HOME", "LANG", "XDG_CONFIG_HOME") if name in os.environ
        }
        environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C.UTF-8", **env}
        try:
            child = await asyncio.create_subprocess_exec(
                "git", *settings, "-C", self.path, *arguments, env=environment, start_new_session=True,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
        except OSError as error:
            raise ActuatorError(
                f"git can't be run for {self.path}: {error.strerror}; install it for the healer"
            ) from error
        out, problem = await child.communicate(stdin)
        return child.returncode or 0, out, problem.decode(errors="replace")

    async def require_whole(self) -> None:
        """The top of a working tree in which nobody is in the middle of something."""
        top = await self.text("rev-parse", "--show-toplevel")
        if Path(top).resolve() != Path(self.path).resolve():  # noqa: ASYNC240 - a local path
            raise ActuatorError(f"{self.path} is not the top of a working tree: that is {top}")
        for name in _BUSY:
            if Path(self.path, await self.text("rev-parse", "--git-path", name)).exists():  # noqa: ASYNC240 - local
                raise ActuatorError(
                    f"{self.path}: somebody is in the middle of something ({name} is there): end that first"
                )

    async def dirty(self) -> list[str]:
        """Tracked files that differ from HEAD; what isn't tracked doesn't count, and is never overwritten."""
        told = (await self.run("status", "--porcelain=v1", "-z", "--untracked-files=no", "--no-renames")).decode()
        return [entry[3:] for entry in told.split("\0") if entry]

    async def head(self) -> str:
        return await self.text("rev-parse", "--verify", "HEAD^{commit}")

    async def marked(self, trailer: str, since: str) -> str | None:
        """The newest commit after `since` whose message has this line."""
        found = await self.text("log", "-1", "--format=%H", "--fixed-strings", f"--grep={trailer}", f"{since}..HEAD")
        return found or None

    async def commit(self, tree: str, message: str) -> str:
        """A commit on top of HEAD that nothing refers to yet."""
        made = await self.run("commit-tree", tree, "-p", "HEAD", "-F", "-", stdin=message.encode(), env=AUTHOR)
        return made.decode().strip()

    async def without(self, commit: str) -> str:
        """The tree of HEAD with what `commit` did taken back. Nothing in the working tree is touched."""
        patch = await self.run("diff-tree", "-p", "--binary", "--full-index", "--no-renames", commit, f"{commit}^")
        with tempfile.TemporaryDirectory(prefix="homeostat-git-") as folder:
            scratch = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
            await self.run("read-tree", "HEAD", env=scratch)
            try:
                await self.run("apply", "--cached", "--3way", "--whitespace=nowarn", "-", stdin=patch, env=scratch)
            except ActuatorError as error:
                raise ActuatorError(
                    f"{self.path}: {commit[:12]} can't be taken back, later commits changed the same: nothing is done"
                ) from error
            return (await self.run("write-tree", env=scratch)).decode().strip()

    async def move_to(self, commit: str) -> None:
        """Moves the branch and the working tree forward; files that aren't tracked are never overwritten."""
        await self.run("merge", "--ff-only", "--no-stat", commit)

    async def finish_move(self, commit: str, dirty: list[str]) -> None:
        """Ends a move that was cut off. Raises ActuatorError when a file is neither what it was nor what it becomes."""
        changed = (await self.run("diff", "--name-only", "--no-renames", "-z", "HEAD", commit)).decode().split("\0")
        for name in dirty:
            if name not in changed or not await self._is_either(name, commit):
                raise ActuatorError(
                    f"{self.path} has changes that nobody committed ({name}): commit or undo them first"
                )
        await self.run("reset", "--hard", commit)

    async def _is_either(self, name: str, commit: str) -> bool:
        file = Path(self.path, name)
        versions = [await self._version("HEAD", name), await self._version(commit, name)]
        if not file.is_file():  # noqa: ASYNC240 - a local path
            return "" in versions
        return await self.text("hash-object", "--", name) in versions

    async def _version(self, commit: str, name: str) -> str:
        """The hash of a file's content in a commit; empty where there is no such file."""
        return await self.text("ls-tree", "--format=%(objectname)", commit, "--", name)
