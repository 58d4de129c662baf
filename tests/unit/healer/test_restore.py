"""What was kept comes back as it was: bytes, modes, links, and files that were not there."""

from __future__ import annotations

import asyncio
import os
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.healer.clients import archives, files
from services.healer.clients.archives import ArchiveError, ArchiveWriter
from services.healer.clients.files import FileCopy
from services.healer.clients.remote import Agents, Places
from services.healer.workflows import restoring
from services.healer.workflows.records import Restored

NAMES = ("a.toml", "b.toml", "sub/c.ini", "sub/d")
plain = st.tuples(st.just("file"), st.binary(max_size=200), st.sampled_from([0o600, 0o640, 0o644, 0o755, 0o4750]))
link = st.tuples(st.just("link"), st.sampled_from(["a.toml", "sub/c.ini", "../b.toml", "nowhere", "c.ini"]))
trees = st.dictionaries(st.sampled_from(NAMES), plain | link, max_size=len(NAMES))


def build(root: Path, tree: dict[str, tuple[object, ...]]) -> None:
    """Makes the folder hold exactly this tree."""
    (root / "sub").mkdir(exist_ok=True)
    for name in NAMES:
        path = root / name
        path.unlink(missing_ok=True)
        kind, *more = tree.get(name, ("absent",))
        if kind == "file":
            content, mode = more
            assert isinstance(content, bytes)
            assert isinstance(mode, int)
            path.write_bytes(content)
            path.chmod(mode)
        elif kind == "link":
            path.symlink_to(str(more[0]))


def picture(root: Path) -> list[tuple[str, str, bytes, int]]:
    """Everything in the folder: name, link, bytes, mode."""
    return sorted(_picture(root))


def _picture(root: Path) -> Iterator[tuple[str, str, bytes, int]]:
    for name in NAMES:
        path = root / name
        if path.is_symlink():
            yield name, os.readlink(path), b"", 0
        elif path.exists():
            yield name, "", path.read_bytes(), path.stat().st_mode & 0o7777


async def nobody(_subject: str, _body: bytes, _timeout_s: float) -> bytes | None:
    return None


async def no_fence() -> int:
    return 0


def put_back(copies: list[FileCopy]) -> Restored:
    """On this host."""
    return asyncio.run(restoring.put_back(Places(Agents(nobody, no_fence)), copies, {}, ()))


def has_loop(root: Path) -> bool:
    return any((root / name).is_symlink() and not _resolves(root / name) for name in NAMES)


def _resolves(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


@given(before=trees, after=trees)
@example(
    before={"a.toml": ("link", "sub/c.ini"), "sub/c.ini": ("file", b"", 0o600)},
    after={"a.toml": ("link", "sub/c.ini"), "sub/c.ini": ("link", "sub/c.ini")},
)
@example(
    before={"a.toml": ("link", "sub/d"), "sub/d": ("link", "c.ini"), "sub/c.ini": ("file", b"1", 0o600)},
    after={"a.toml": ("link", "sub/d"), "sub/d": ("link", "../b.toml"), "b.toml": ("file", b"2", 0o600)},
)
@settings(deadline=None, max_examples=150)
def test_a_tree_comes_back_byte_by_byte_and_mode_by_mode(
    before: dict[str, tuple[object, ...]], after: dict[str, tuple[object, ...]]
) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        build(root, before)
        if has_loop(root):
            return
        seen = picture(root)
        kept = [files.read(str(root / name)) for name in NAMES]
        build(root, after)
        if has_loop(root):
            return
        restored = put_back(kept)
        assert restored.errors == ()
        assert picture(root) == seen
        assert put_back(kept).paths == (), "a repetition finds nothing to do"
        assert not list(root.rglob(".*.tmp"))


def test_a_backup_of_before_links_were_kept_leaves_a_link_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"new")
    (tmp_path / "web.toml").symlink_to("real")
    now = files.read(str(tmp_path / "web.toml")).state
    old = files.FileState(now.path, files.digest(b"old"), now.mode, now.uid, now.gid, link=None)
    assert put_back([FileCopy(old, b"old")]).errors == ()
    assert (tmp_path / "web.toml").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"old"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "web.toml"
    path.write_bytes(b"one")
    os.chown(path, 1234, 4321)
    kept = files.read(str(path))
    path.unlink()
    path.write_bytes(b"two")
    assert put_back([kept]).errors == ()
    assert (path.stat().st_uid, path.stat().st_gid, path.read_bytes()) == (1234, 4321, b"one")


# ---- archives


def archived(folder: Path, *contents: bytes) -> tuple[Path, str]:
    writer = ArchiveWriter(folder, "2026-01")
    for one in contents:
        writer.add(files.digest(one), one)
    made = writer.finish([{"backup_id": "backup_20260103_101112_00000000"}])
    writer.give_up()
    return folder / made.name, made.sha256


def test_an_archive_is_named_by_what_it_holds_and_gives_it_back(tmp_path: Path) -> None:
    path, digest = archived(tmp_path / "kept", b"one", b"two")
    assert path.name == f"backups-2026-01-{digest[:12]}.zip"
    assert path.stat().st_mode & 0o777 == 0o600
    assert archives.content(path, files.digest(b"two")) == b"two"
    assert archives.damaged(path, digest) == []
    assert archived(tmp_path / "again", b"one", b"two")[0].read_bytes() == path.read_bytes(), "made anew it is the same"
    assert [one.name for one in (tmp_path / "kept").iterdir()] == [path.name]


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(deadline=None, max_examples=60)
def test_any_flipped_bit_of_an_archive_is_found(place: int, bit: int) -> None:
    with TemporaryDirectory() as folder:
        path, digest = archived(Path(folder), b"content " * 50)
        content = bytearray(path.read_bytes())
        content[place % len(content)] ^= 1 << bit
        path.write_bytes(content)
        assert archives.damaged(path, digest) != []


def test_an_archive_never_gives_other_bytes(tmp_path: Path) -> None:
    name = sha256(b"what was kept").hexdigest()
    with zipfile.ZipFile(tmp_path / "forged.zip", "w") as forged:
        forged.writestr(f"blobs/{name}", b"something else")
    with pytest.raises(ArchiveError, match="other bytes"):
        archives.content(tmp_path / "forged.zip", name)
    with pytest.raises(ArchiveError, match="can't give"):
        archives.content(tmp_path / "gone.zip", name)
