"""Working trees under Git."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from shared.packs.base import Part, Path

Commitish = Annotated[str, Field(pattern=r"^[A-Za-z0-9$][A-Za-z0-9._/${}-]{0,199}$")]


class GitRevert(Part):
    """Makes a new commit that takes back earlier ones; the tree must be clean, and nothing is rewritten or pushed."""

    path: Path
    """The top of a working tree."""
    touching: tuple[Path, ...] = ()
    """Takes back the last commit that touched any of these paths."""
    to: Commitish | None = None
    """Goes back to what an earlier commit held: a hash, a tag or a branch, as `deployed-good`."""
    last_good_of: Path | None = None
    """Goes back to the newest commit that holds the last good version of this file, as Homeostat has learned it."""
    max_commits: Annotated[int, Field(ge=1, le=1_000)] = 50
    """Goes back over at most so many commits."""

    @model_validator(mode="after")
    def _one_way(self) -> GitRevert:
        if sum((bool(self.touching), self.to is not None, self.last_good_of is not None)) != 1:
            raise ValueError("git.revert has exactly one of `touching`, `to` and `last_good_of`: leave out the others")
        return self
