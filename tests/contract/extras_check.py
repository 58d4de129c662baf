"""Each service imports with nothing but its own extra: `UV=uv python tests/contract/extras_check.py [service …]`.

The versions are those of `requirements.lock`. The program runs outside the checkout, so that only what was installed
can be imported.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from shared.settings import SERVICES

ROOT = Path(__file__).parents[2]
STARTS = "import services.{service}.app as app; app.build(app.Settings())"
TIMEOUT_S = 600


def problem(uv: str, service: str, folder: Path) -> str | None:
    """What is wrong with the extra of `service`; None when it has all it needs."""
    environment = folder / service
    python = environment / "bin" / "python"
    steps = [
        [uv, "venv", "--quiet", "--python", sys.executable, str(environment)],
        [uv, "pip", "install", "--quiet", "--python", str(python), "--constraint", str(ROOT / "requirements.lock"),
         f"homeostat[{service}] @ {ROOT.as_uri()}"],
        [str(python), "-c", STARTS.format(service=service)],
        [str(environment / "bin" / "homeostat"), "--help"],
    ]  # fmt: skip
    for step in steps:
        done = subprocess.run(step, cwd=folder, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
        if done.returncode:
            return f"{' '.join(step)}\n{done.stderr.strip() or done.stdout.strip()}"
    return None


def main(services: list[str]) -> int:
    failed = 0
    uv = shutil.which(os.environ.get("UV", "uv"))
    if uv is None:
        print("uv is needed: give its path as UV=…, or run `make extras`")
        return 2
    with tempfile.TemporaryDirectory(prefix="homeostat-extras-") as folder:
        for service in services or SERVICES:
            found = problem(str(Path(uv).absolute()), service, Path(folder))
            failed += found is not None
            print(f"{service}: {'has all it needs' if found is None else 'FAILED: ' + found}", flush=True)
    if failed:
        print(f"{failed} failed: add what is missing to the service's extra in pyproject.toml, or don't import it")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
