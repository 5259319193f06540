"""The arena: every method on the same crossings, by the same measures, with what it costs and what upsets it."""

from __future__ import annotations

from hardscatter.arena.contest import contestants
from hardscatter.arena.leaderboard import Leaderboard, leaderboard
from hardscatter.arena.run import contest, domain_shifts
from hardscatter.arena.shifts import ShiftTable, shift_table

__all__ = ["Leaderboard", "ShiftTable", "contest", "contestants", "domain_shifts", "leaderboard", "shift_table"]
