"""What each kind of cause is: how it is said, what has to be put right, how long that usually takes (C02–C07)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from shared.packs import Category


class FixType(StrEnum):
    """What kind of thing has to be put right (requirement C02)."""

    CONFIGURATION = "configuration"
    CODE = "code"
    INFRASTRUCTURE = "infrastructure"


@dataclass(frozen=True, slots=True)
class Kind:
    """One category. `broader`: a playbook that is for that category is of use for this one, too."""

    said: str
    noun: str
    fix: FixType | None = None
    fix_s: float | None = None
    """Usual time to put it right, until there are measured ones."""
    broader: Category | None = None


_SET, _CODE, _INFRA = FixType.CONFIGURATION, FixType.CODE, FixType.INFRASTRUCTURE

KINDS: Mapping[Category, Kind] = {
    Category.CRASH: Kind("{0} has crashed", "a crash", _INFRA, 10),
    # Not broadly a crash: what has been started again and again isn't helped by starting it once more.
    Category.CRASH_LOOP: Kind("{0} crashes again and again", "a crash loop", _CODE, 120),
    Category.HANG: Kind("{0} hangs", "a hang", _INFRA, 15),
    Category.JOB_STUCK: Kind("a job of {0} is stuck", "a stuck job", _INFRA, 60, Category.HANG),
    Category.CONFIGURATION: Kind("the configuration of {0} is wrong", "a bad configuration", _SET, 20),
    Category.CERTIFICATE: Kind("a certificate of {0} is not valid", "a bad certificate", _SET, 600),
    Category.TUNING: Kind("a setting of {0} is not tuned", "an untuned setting", _SET, 60),
    Category.DEPLOYMENT: Kind("the last deployment of {0} broke it", "a bad deployment", _CODE, 300),
    Category.DATA_QUALITY: Kind("{0} is given data that it can't use", "bad data", _CODE, 1_800),
    Category.RATE_LIMIT: Kind("{0} is being rate-limited", "a rate limit", _SET, 120),
    Category.QUOTA: Kind("a quota of {0} is used up", "a used-up quota", _SET, 600, Category.RATE_LIMIT),
    Category.TIMEOUT: Kind("calls of {0} take too long", "slow calls", _SET, 60),
    Category.DATABASE_CONNECTION: Kind("{0} has trouble with its database", "database trouble", _INFRA, 120),
    Category.POOL_STARVATION: Kind(
        "{0} runs out of pooled connections", "a starved pool", _SET, 120, Category.DATABASE_CONNECTION
    ),
    Category.LOCK_CONTENTION: Kind(
        "{0} waits for locks in its database", "lock contention", _CODE, 120, Category.DATABASE_CONNECTION
    ),
    Category.RESOURCE_EXHAUSTION: Kind("{0} is running out of a resource", "an exhausted resource", _INFRA, 120),
    Category.MEMORY_LEAK: Kind("{0} leaks memory", "a memory leak", _CODE, 60, Category.RESOURCE_EXHAUSTION),
    Category.DISK: Kind("a disk of {0} is full or failing", "a full disk", _INFRA, 120, Category.RESOURCE_EXHAUSTION),
    Category.OVERLOAD: Kind("{0} is overloaded", "an overload", _INFRA, 300),
    Category.HOT_KEY: Kind("one key of {0} takes most of the load", "a hot key", _CODE, 600, Category.OVERLOAD),
    Category.CLOCK: Kind("the clock of {0} is wrong", "a wrong clock", _INFRA, 300),
    Category.NETWORK: Kind("{0} has no good network", "network trouble", _INFRA, 300),
    Category.DNS: Kind("{0} can't resolve names", "name resolution trouble", _INFRA, 300, Category.NETWORK),
    Category.DEPENDENCY_FAILURE: Kind("something that {0} depends on is failing", "a failing dependency", _INFRA, 60),
    Category.THIRD_PARTY: Kind("the provider {0} is in trouble", "a provider's trouble", _INFRA, 1_800),
    Category.PROVIDER_RECOVERED: Kind("the provider that {0} had left is well again", "a provider's return", _SET, 10),
    Category.UNKNOWN: Kind("the cause is not known", "an unknown cause"),
}
"""Every category has a row; a test holds that."""

OF_THE_BROADER = 0.97
"""What a narrow cause is worth as its broader one: a shade less, so that the narrow one is named first."""


def fix_type_of(category: Category) -> FixType | None:
    return KINDS[category].fix


def said(category: Category, component: str) -> str:
    """A sentence without its full stop: `payments has crashed`."""
    return KINDS[category].said.format(component)
