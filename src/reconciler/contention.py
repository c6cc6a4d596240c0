"""How often a contested object is repaired. Pure.

A field that somebody else keeps changing back is repaired a few times at once, then less and
less often; after a quiet while the count starts again. Two controllers that disagree must
not fill etcd.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

FREE_REPAIRS = 5
"""Repairs without delay."""
QUIET = 600.0
"""Seconds without a repair after which the count starts again."""
_FIRST_DELAY = 5.0
_LONGEST_DELAY = 300.0


@dataclass(frozen=True, slots=True)
class Repairs:
    """The repairs of one object: how many in a row, and when the last one was (loop time)."""

    count: int = 0
    last: float = float("-inf")

    def repaired(self, now: float) -> Repairs:
        """One more repair, at ``now`` seconds."""
        recent = now - self.last <= QUIET
        return replace(self, count=self.count + 1 if recent else 1, last=now)

    def contested(self, now: float) -> bool:
        """Has it been repaired too often, and lately, to be an accident?"""
        return self.count >= FREE_REPAIRS and now - self.last <= QUIET

    def wait(self, now: float) -> float:
        """Seconds until the next repair is due; 0 where it may happen now."""
        if not self.contested(now):
            return 0.0
        delay = min(_FIRST_DELAY * 2.0 ** (self.count - FREE_REPAIRS), _LONGEST_DELAY)
        return max(0.0, self.last + delay - now)
