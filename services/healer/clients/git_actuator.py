"""git.revert: one new commit that takes back earlier ones, made beside the working tree and moved to at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.healer.clients.base import ActuatorError, Context, Done, Facts, text
from services.healer.clients.files import absolute, digest
from services.healer.clients.git import Repository
from shared.packs.actions.repositories import GitRevert


@dataclass(frozen=True, slots=True)
class RevertCommits:
    """The commit carries the step's name, so that a repetition and the way back find it."""

    context: Context
    action: GitRevert

    @property
    def resource(self) -> str:
        return f"git:{absolute(self.action.path)}"

    @property
    def files(self) -> Sequence[str]:
        return ()

    @property
    def _repository(self) -> Repository:
        return Repository(absolute(self.action.path))

    @property
    def _mark(self) -> str:
        return f"Homeostat-Step: {self.context.key}"

    @property
    def _undo_mark(self) -> str:
        return f"Homeostat-Undo: {self.context.key}"

    async def observe(self) -> Facts:
        """`tree`: go to what this commit holds; `commit`: take this one back."""
        repository = self._repository
        head = await repository.head()
        if await self.context.kept() is not None:  # looking back: the step has been begun
            return {"head": head, "goal": "", "one": False}
        await repository.require_whole()
        await _require_clean(repository)
        goal = await self._goal(repository, head)
        return {"head": head, "goal": goal, "one": bool(self.action.touching)}

    async def _goal(self, repository: Repository, head: str) -> str:
        if self.action.touching:
            return await self._last_touching(repository)
        goal = await self._earlier(repository, head)
        if goal == head:
            raise ActuatorError(f"{repository.path} is at {head[:12]} already: nothing to go back over")
        if not await repository.holds("merge-base", "--is-ancestor", goal, head):
            raise ActuatorError(f"{repository.path}: {goal[:12]} is no earlier commit of what is checked out")
        over = int(await repository.text("rev-list", "--count", f"{goal}..{head}"))
        if over > self.action.max_commits:
            raise ActuatorError(
                f"{repository.path}: {over} commits lie between, more than max_commits = {self.action.max_commits}"
            )
        return goal

    async def _last_touching(self, repository: Repository) -> str:
        paths = [path.removeprefix(f"{repository.path}/") for path in self.action.touching]
        limit = f"--max-count={self.action.max_commits}"
        recent = (await repository.text("rev-list", limit, "HEAD")).splitlines()
        found = await repository.text("log", "-1", "--format=%H %P", "--", *paths)
        commit, *parents = found.split() or [""]
        if commit not in recent:
            raise ActuatorError(
                f"{repository.path}: none of the last {self.action.max_commits} commits touched {', '.join(paths)}"
            )
        if len(parents) != 1:
            raise ActuatorError(f"{repository.path}: {commit[:12]} is a merge or the first commit: name one with `to`")
        return commit

    async def _earlier(self, repository: Repository, head: str) -> str:
        if self.action.to is not None:
            return await repository.text("rev-parse", "--verify", "--end-of-options", f"{self.action.to}^{{commit}}")
        path = absolute(self.action.last_good_of or "")
        inside = path.removeprefix(f"{repository.path}/")
        now = digest(await repository.run("cat-file", "blob", f"{head}:{inside}"))
        good = await self.context.last_good(path, now)
        if good is None:
            raise ActuatorError(
                f"no good version of {path} is known that differs from the one checked out: "
                "one is learned when it has been in force for `good_after_s` without an incident"
            )
        wanted = (await repository.run("hash-object", "--stdin", stdin=good.content)).decode().strip()
        limit = f"--max-count={self.action.max_commits + 1}"
        for commit in (await repository.text("rev-list", limit, head)).splitlines():
            found = await repository.text("ls-tree", "--format=%(objectname)", commit, "--", inside)
            if found == wanted:
                return commit
        raise ActuatorError(f"none of the last {self.action.max_commits} commits holds the last good version of {path}")

    def describe(self, seen: Facts) -> str:
        goal = text(seen, "goal")[:12]
        what = f"revert {goal}" if seen["one"] else f"go back to {goal}"
        return f"{what} in {self._repository.path} by a new commit (now at {text(seen, 'head')[:12]})"

    async def apply(self, seen: Facts) -> Done:
        repository, head = self._repository, text(seen, "head")
        if made := await repository.marked(self._mark, head):
            return Done(f"commit {made[:12]} was made already", changed=False)
        goal = text(seen, "goal")
        subject = f"Revert {goal[:12]}" if seen["one"] else f"Go back to {goal[:12]}"
        begun = await self._begun()
        if begun:
            made = begun[0]
        else:
            if await repository.head() != head:
                raise ActuatorError(f"{repository.path} has moved on since it was looked at: nothing is done")
            tree = await (repository.without(goal) if seen["one"] else repository.text("rev-parse", f"{goal}^{{tree}}"))
            if tree == await repository.text("rev-parse", "HEAD^{tree}"):
                raise ActuatorError(f"{repository.path} holds nothing of {goal[:12]} to take back: nothing is done")
            made = await repository.commit(tree, f"{subject}\n\n{self._mark}\n")
            await self.context.keep(made.encode())
        await self._move(repository, made, head)
        return Done(f"{subject.lower()} in {repository.path}: commit {made[:12]}")

    async def _begun(self) -> list[str]:
        """The step's commit, and then that of its undoing, as far as they have been made."""
        return (await self.context.kept() or b"").decode().split()

    async def _move(self, repository: Repository, made: str, head: str) -> None:
        await repository.require_whole()
        if await repository.head() != head:
            raise ActuatorError(f"{repository.path} has moved on since it was looked at: nothing is done")
        if dirty := await repository.dirty():
            await repository.finish_move(made, dirty)
        else:
            await repository.move_to(made)

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        """By a commit that takes back the step's: what others have committed since stays."""
        repository, head = self._repository, text(before, "head")
        if again := await repository.marked(self._undo_mark, head):
            return Done(f"commit {again[:12]} was made already", changed=False)
        begun, dirty = await self._begun(), await repository.dirty()
        if begun and dirty:  # a move was cut off
            await repository.finish_move(begun[-1], dirty)
        made = await repository.marked(self._mark, head)
        if made is None:
            return Done("no commit had been made", changed=False)
        await repository.require_whole()
        await _require_clean(repository)
        if again := await repository.marked(self._undo_mark, head):
            return Done(f"reverted {made[:12]} in {repository.path}: commit {again[:12]}")
        tree = await repository.without(made)
        back = await repository.commit(tree, f"Revert {made[:12]}, which did not help\n\n{self._undo_mark}\n")
        await self.context.keep(f"{made} {back}".encode())
        await repository.move_to(back)
        return Done(f"reverted {made[:12]} in {repository.path}: commit {back[:12]}")


async def _require_clean(repository: Repository) -> None:
    if dirty := await repository.dirty():
        raise ActuatorError(
            f"{repository.path}: nobody has committed the changes of {dirty[0]}: commit or undo them first"
        )
