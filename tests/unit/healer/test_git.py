"""git.revert with the system's own Git: one new commit, only of a clean tree, and back by another."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.healer.clients import files, git
from services.healer.clients.base import ActuatorError
from services.healer.clients.git_actuator import RevertCommits
from shared.packs.actions.repositories import GitRevert
from tests.unit.healer.helpers import Drawer, context_of

AS = ("-c", "user.name=Somebody", "-c", "user.email=somebody@localhost")


def run(tree: Path, *arguments: str) -> str:
    command = ["git", *AS, "-C", str(tree), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()


def commit(tree: Path, message: str, **files: str) -> str:
    for name, content in files.items():
        (tree / name.replace("_", ".")).write_text(content)
    run(tree, "add", "--all")
    run(tree, "commit", "--quiet", "-m", message)
    return run(tree, "rev-parse", "HEAD")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three commits; the second broke `app.toml`."""
    made = tmp_path / "site"
    made.mkdir()
    run(made, "init", "--quiet", "--initial-branch=main")
    commit(made, "first", app_toml="timeout = 1\n", other_txt="a\n")
    run(made, "tag", "deployed-good")
    commit(made, "breaks it", app_toml="timeout = 0\n", new_txt="new\n")
    commit(made, "something else", other_txt="b\n")
    hook = made / ".git/hooks/post-merge"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hook-ran\n")
    hook.chmod(0o755)
    return made


def revert(tree: Path, drawer: Drawer | None = None, **how: object) -> RevertCommits:
    return RevertCommits(context_of(drawer=drawer), GitRevert.model_validate({"path": str(tree), **how}))


def sight(tree: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in tree.iterdir() if path.is_file()}


async def test_the_last_commit_that_touched_a_path_is_taken_back_once_and_given_back(tree: Path) -> None:
    before, head = sight(tree), run(tree, "rev-parse", "HEAD")
    step = revert(tree, touching=["app.toml"])
    seen = await step.observe()
    assert "by a new commit" in step.describe(seen)
    assert (await step.apply(seen)).changed
    assert not (await step.apply(seen)).changed
    assert sight(tree) == {"app.toml": "timeout = 1\n", "other.txt": "b\n"}
    assert run(tree, "rev-list", "--count", f"{head}..HEAD") == "1"
    assert run(tree, "log", "-1", "--format=%an %B").startswith("Homeostat Revert ")
    assert (await step.undo(seen, await step.observe(), files_restored=False)).changed
    assert not (await step.undo(seen, seen, files_restored=False)).changed
    assert sight(tree) == before
    assert run(tree, "rev-list", "--count", f"{head}..HEAD") == "2"
    assert run(tree, "rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert not (tree.parent / "hook-ran").exists()
    assert run(tree, "status", "--porcelain") == ""


async def test_back_to_a_named_commit_and_what_others_committed_since_stays_at_the_undo(tree: Path) -> None:
    step = revert(tree, to="deployed-good")
    seen = await step.observe()
    await step.apply(seen)
    assert run(tree, "rev-parse", "HEAD^{tree}") == run(tree, "rev-parse", "deployed-good^{tree}")
    commit(tree, "somebody's own", own_txt="mine\n")
    await step.undo(seen, await step.observe(), files_restored=False)
    assert sight(tree) == {"app.toml": "timeout = 0\n", "other.txt": "b\n", "new.txt": "new\n", "own.txt": "mine\n"}


async def test_back_to_the_last_good_version_of_a_file(tree: Path) -> None:
    good = tree / "app.toml"
    now = git_bytes(tree, "HEAD:app.toml")
    good.write_text("timeout = 1\n")
    copy = files.read(str(good))
    good.write_bytes(now)

    async def last_good(_path: str, sha256: str) -> files.FileCopy | None:
        return copy if sha256 == files.digest(now) else None

    step = revert(tree, last_good_of=str(good))
    step = replace(step, context=replace(step.context, last_good=last_good))
    await step.apply(await step.observe())
    assert good.read_text() == "timeout = 1\n"
    with pytest.raises(ActuatorError, match="no good version"):
        await revert(tree, last_good_of=str(good)).observe()


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"to": "HEAD"}, "nothing to go back over"),
        ({"to": "nothing"}, "rev-parse failed"),
        ({"to": "deployed-good", "max_commits": 1}, "max_commits = 1"),
        ({"touching": ["app.toml"], "max_commits": 1}, "none of the last 1 commits"),
        ({"touching": ["gone.txt"]}, "none of the last"),
    ],
)
async def test_what_cannot_be_gone_back_to_is_said_before_anything_is_touched(
    tree: Path, how: dict[str, object], problem: str
) -> None:
    with pytest.raises(ActuatorError, match=problem):
        await revert(tree, **how).observe()


async def test_a_branch_that_was_never_part_of_this_one_is_refused(tree: Path) -> None:
    run(tree, "checkout", "--quiet", "--orphan", "other")
    commit(tree, "unrelated", x_txt="x\n")
    run(tree, "checkout", "--quiet", "main")
    with pytest.raises(ActuatorError, match="no earlier commit"):
        await revert(tree, to="other").observe()


async def test_a_dirty_tree_is_refused_and_files_that_are_not_tracked_are_not_dirt(tree: Path) -> None:
    (tree / "app.log").write_text("not tracked\n")
    step = revert(tree, to="deployed-good")
    seen = await step.observe()
    (tree / "other.txt").write_text("by hand\n")
    with pytest.raises(ActuatorError, match=r"other\.txt"):
        await revert(tree, to="deployed-good").observe()
    with pytest.raises(ActuatorError, match=r"nobody committed \(other\.txt\)"):
        await step.apply(seen)
    assert (tree / "other.txt").read_text() == "by hand\n"
    run(tree, "checkout", "--quiet", "other.txt")
    await step.apply(seen)
    assert (tree / "app.log").read_text() == "not tracked\n"


async def test_somebody_in_the_middle_of_something_is_not_disturbed(tree: Path) -> None:
    (tree / ".git/MERGE_HEAD").write_text(run(tree, "rev-parse", "HEAD") + "\n")
    with pytest.raises(ActuatorError, match="MERGE_HEAD"):
        await revert(tree, to="deployed-good").observe()
    (tree / "inner").mkdir()
    with pytest.raises(ActuatorError, match="not the top"):
        await revert(tree / "inner", to="deployed-good").observe()


async def test_what_later_commits_changed_as_well_is_left_whole(tree: Path) -> None:
    commit(tree, "again", app_toml="timeout = 5\n")
    broken = run(tree, "rev-parse", "HEAD~2")
    step = revert(tree, touching=["app.toml"])
    with pytest.raises(ActuatorError, match="later commits changed the same"):
        await step.apply({"head": run(tree, "rev-parse", "HEAD"), "goal": broken, "one": True})
    assert run(tree, "status", "--porcelain") == ""


async def test_a_tree_that_moved_on_since_it_was_seen_is_left(tree: Path) -> None:
    step = revert(tree, to="deployed-good")
    seen = await step.observe()
    commit(tree, "meanwhile", own_txt="mine\n")
    with pytest.raises(ActuatorError, match="moved on"):
        await step.apply(seen)
    assert not (await step.undo(seen, seen, files_restored=False)).changed


class KilledError(Exception):
    pass


@pytest.mark.parametrize("moved", [(), ("app.toml",), ("app.toml", "new.txt")])
async def test_a_move_that_was_cut_off_is_ended_by_the_repetition(
    tree: Path, monkeypatch: pytest.MonkeyPatch, moved: tuple[str, ...]
) -> None:
    """As after a crash of the machine: some files are new already, HEAD is not."""
    drawer = Drawer()
    step = revert(tree, drawer, to="deployed-good")
    seen = await step.observe()

    async def cut_off(_self: git.Repository, _commit: str) -> None:
        for name in moved:
            if name == "new.txt":
                (tree / name).unlink()
            else:
                (tree / name).write_text("timeout = 1\n")
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(git.Repository, "move_to", cut_off)
        with pytest.raises(KilledError):
            await step.apply(seen)
    assert (await step.apply(seen)).changed
    assert run(tree, "rev-parse", "HEAD^{tree}") == run(tree, "rev-parse", "deployed-good^{tree}")
    assert run(tree, "status", "--porcelain") == ""
    assert run(tree, "rev-list", "--count", f"{seen['head']}..HEAD") == "1"


async def test_a_cut_off_move_over_somebodys_own_change_is_not_ended(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawer = Drawer()
    step = revert(tree, drawer, to="deployed-good")
    seen = await step.observe()

    async def cut_off(_self: git.Repository, _commit: str) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(git.Repository, "move_to", cut_off)
        with pytest.raises(KilledError):
            await step.apply(seen)
    (tree / "app.toml").write_text("by hand\n")
    with pytest.raises(ActuatorError, match=r"app\.toml"):
        await step.apply(seen)
    assert (tree / "app.toml").read_text() == "by hand\n"


@pytest.mark.parametrize("how", [{}, {"to": "a", "touching": ["b"]}, {"to": "--upload-pack=x"}, {"to": "a b"}])
def test_one_way_back_and_no_option_in_its_place(how: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GitRevert.model_validate({"path": "/srv", **how})


def git_bytes(tree: Path, what: str) -> bytes:
    return subprocess.run(["git", "-C", str(tree), "cat-file", "blob", what], check=True, capture_output=True).stdout
