"""The healer's settings; only `app.py` reads them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """`HOMEOSTAT_…` variables of the healer."""

    SERVICE: ClassVar[str] = "healer"

    kill_switch_file: Path | None = None
    """While this file exists nothing is touched, not even by a run that is on its way."""
    start_within_s: float = Field(default=900.0, gt=0)
    """A decision that is older when its turn comes is not carried out: the decider thinks again."""
    sweep_s: float = Field(default=1.0, gt=0, le=60)
    """How often runs that wait are looked at; a free component starts its next run without waiting for this."""
    lease_renew_s: float = Field(default=15.0, gt=0, le=60)
    """How often a run at work asks for more time."""
    good_files_s: float = Field(default=5.0, gt=0, le=3_600)
    """How often configuration files are looked at."""
    routes_s: float = Field(default=1.0, gt=0, le=60)
    """How often it is looked which provider components use."""
    good_versions: int = Field(default=5, ge=1, le=100)
    """Good versions kept of each configuration file."""
    backup_retention_days: int = Field(default=30, ge=1, le=3_650)
    """A month of backups that are all older is archived, or, without a folder for archives, deleted."""
    backup_archive_dir: Path | None = None
    """Folder of the archives; replicas on several machines need one that they share."""
    backup_archive_days: int = Field(default=730, ge=1, le=36_500)
    """How long archived backups are kept beyond that."""
    run_retention_days: int = Field(default=90, ge=1, le=3_650)
