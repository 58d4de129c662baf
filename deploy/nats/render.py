"""Writes deploy/nats/nats.conf from the permissions in the code, so that both never differ.

Usage: python deploy/nats/render.py [--check]
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from services.cli.provision import nats_users
from shared.embedded.nats_config import EnvRef, NatsConfig, render_nats_config

TARGET = Path(__file__).with_name("nats.conf")
PASSWORDS = "passwords.conf"
"""Beside nats.conf in the container: variables, one per user, made by deploy/make-secrets.sh."""
HEADER = f"""\
# Made by deploy/nats/render.py from the permissions in shared/bus/streams.py: change them there.
# The passwords are variables, defined in the file included here; deploy/make-secrets.sh makes it.
include '{PASSWORDS}'

"""


def password_variable(user: str) -> str:
    return f"NATS_{user.upper().replace('-', '_')}_PASSWORD"


def rendered() -> str:
    """The configuration for a container: all addresses, since only its network reaches it; monitoring for itself."""
    users = [dataclasses.replace(user, password=EnvRef(password_variable(user.name))) for user in nats_users()]
    return HEADER + render_nats_config(NatsConfig(users=users, store_dir="/data", host="0.0.0.0"))  # noqa: S104


def main() -> int:
    text = rendered()
    if "--check" in sys.argv[1:]:
        if TARGET.read_text() != text:
            sys.stderr.write(f"{TARGET} is not what the code says: run python deploy/nats/render.py\n")
            return 1
        return 0
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
