"""What is remembered of one series: its last readings one by one, older ones thinned out; a fixed number of bytes."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

FINE = 120
"""Readings kept one by one."""
COARSE = 90
"""Readings kept of those before: one of every THIN, so that they scatter as single readings do."""
THIN = 4
THIN_S = 10.0
"""… but at least so many seconds apart: at one reading a second 15 minutes are remembered, at four a minute 2 hours."""
CLOSEST_S = 0.5
"""Readings closer to the last are left out."""
_REBASE_S = 65_536.0

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MemoryState:
    """The thinned memory as it is kept in a snapshot: offsets from `origin` in seconds, and values."""

    origin: float
    times: bytes
    values: bytes


class SeriesMemory:
    """Times and values in two rings of 32-bit floats: about 1.7 kB.

    >>> memory = SeriesMemory()
    >>> for second in range(10_000): memory.add(float(second), second % 7)
    >>> times, values = memory.readings()
    >>> len(times), times[-1], bool((np.diff(times) > 0).all())
    (210, 9999.0, True)
    """

    __slots__ = (
        "_c_next",
        "_c_times",
        "_c_values",
        "_f_next",
        "_f_times",
        "_f_values",
        "_origin",
        "_skipped",
        "_thinned",
        "last_s",
    )

    def __init__(self) -> None:
        self._origin = 0.0
        self._f_times, self._f_values = array("f"), array("f")
        self._c_times, self._c_values = array("f"), array("f")
        self._f_next = self._c_next = self._skipped = 0
        self._thinned = -1e9
        self.last_s = float("-inf")

    def __len__(self) -> int:
        return len(self._f_times) + len(self._c_times)

    def add(self, at_s: float, value: float) -> bool:
        """Take up a reading; one that isn't finite or comes late or at once after the last changes nothing."""
        if at_s - self.last_s < CLOSEST_S or not isfinite(value):
            return False
        if not self._f_times:
            self._origin = at_s
        elif at_s - self._origin > _REBASE_S:
            self._rebase(at_s)
        self.last_s = at_s
        if len(self._f_times) < FINE:
            self._f_times.append(at_s - self._origin)
            self._f_values.append(value)
            return True
        slot = self._f_next
        self._thin(self._f_times[slot], self._f_values[slot])
        self._f_times[slot], self._f_values[slot] = at_s - self._origin, value
        self._f_next = (slot + 1) % FINE
        return True

    def readings(self) -> tuple[Floats, Floats]:
        """All that is remembered, oldest first."""
        times = np.concatenate((_unrolled(self._c_times, self._c_next), _unrolled(self._f_times, self._f_next)))
        values = np.concatenate((_unrolled(self._c_values, self._c_next), _unrolled(self._f_values, self._f_next)))
        return times.astype(np.float64) + self._origin, values.astype(np.float64)

    def dump(self, most: int) -> MemoryState:
        """At most `most` readings: a quarter of them the newest, the others spread evenly over those before."""
        times, values = self.readings()
        if len(times) > most:
            newest = most // 4
            spread = np.linspace(0, len(times) - newest - 1, most - newest).round().astype(int)
            keep = np.concatenate((spread, np.arange(len(times) - newest, len(times))))
            times, values = times[keep], values[keep]
        offsets = (times - self._origin).astype(np.float32)
        return MemoryState(self._origin, offsets.tobytes(), values.astype(np.float32).tobytes())

    @classmethod
    def loaded(cls, state: MemoryState) -> SeriesMemory:
        memory = cls()
        memory._origin = state.origin
        memory._f_times.frombytes(state.times)
        memory._f_values.frombytes(state.values)
        if memory._f_times:
            memory.last_s = state.origin + memory._f_times[-1]
        return memory

    def _thin(self, offset: float, value: float) -> None:
        self._skipped += 1
        if self._skipped < THIN or offset - self._thinned < THIN_S:
            return
        self._skipped, self._thinned = 0, offset
        if len(self._c_times) < COARSE:
            self._c_times.append(offset)
            self._c_values.append(value)
            return
        slot = self._c_next
        self._c_times[slot], self._c_values[slot] = offset, value
        self._c_next = (slot + 1) % COARSE

    def _rebase(self, at_s: float) -> None:
        """Keeps offsets small: 32 bits tell times apart to 10 ms up to a day."""
        shift = at_s - self._origin
        for times in (self._f_times, self._c_times):
            for index, offset in enumerate(times):
                times[index] = offset - shift
        self._thinned -= shift
        self._origin = at_s


def _unrolled(ring: array[float], start: int) -> NDArray[np.float32]:
    held = np.frombuffer(ring, dtype=np.float32) if ring else np.empty(0, np.float32)
    return np.concatenate((held[start:], held[:start]))
