"""Which component something outside is about, said by its labels."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

COMPONENT_LABELS = ("component", "service.name", "service_name", "service", "app", "container", "job", "instance")
"""The first of these that a series or alert has names its component. What a person wrote goes before what a discovery
found, and what names a program before what names the scrape."""
REPLICA_LABELS = frozenset({"prometheus_replica", "__replica__", "replica"})
"""By these two senders of the same things differ, and nothing else does."""
UNASSIGNED = "unassigned"
"""The component of what has none of the labels."""
MAX_TOKEN_CHARS = 64
_DIGEST_CHARS = 8
_OTHERS = re.compile(r"[^a-z0-9_-]+")


def slug(text: str, most_chars: int = MAX_TOKEN_CHARS) -> str:
    """`text` as a token of a subject: the same text always gives the same token, and never none.

    >>> slug("Payments API"), slug("10.0.0.7:9100")
    ('payments-api', '10-0-0-7-9100')
    """
    lowered = text.lower()
    token = _OTHERS.sub("-", lowered).strip("-_")
    if 0 < len(token) <= most_chars:
        return token
    digest = hashlib.blake2b(lowered.encode(errors="surrogatepass"), digest_size=_DIGEST_CHARS // 2).hexdigest()
    kept = token[: most_chars - _DIGEST_CHARS - 1].rstrip("-_")
    return f"{kept}-{digest}" if kept else f"x-{digest}"


@dataclass(frozen=True, slots=True)
class ComponentRule:
    """Labels in the order in which they are asked."""

    labels: tuple[str, ...] = COMPONENT_LABELS

    def component_of(self, labels: Mapping[str, str]) -> str:
        """
        >>> ComponentRule().component_of({"job": "shop", "service": "Orders", "instance": "a:80"})
        'orders'
        """
        for label in self.labels:
            if value := labels.get(label, "").strip():
                return slug(value)
        return UNASSIGNED


def without_replica(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels that all senders of a highly available pair agree on; empty values mean the same as none."""
    return {name: value for name, value in labels.items() if value and name not in REPLICA_LABELS}
