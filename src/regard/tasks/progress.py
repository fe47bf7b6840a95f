"""How far a long prediction is, on standard error."""

from __future__ import annotations

import sys
import time

LIVE_SECONDS, LOG_SECONDS = 0.25, 30.0


class Progress:
    """One live line: how far, how fast, when it ends. Without a terminal, a line now and then.

    Where results go to the same terminal, they are progress enough.
    """

    def __init__(self, unit: str, *, is_quiet: bool = False) -> None:
        self.unit, self.num_done = unit, 0
        self.is_live = sys.stderr.isatty()
        self.is_quiet = is_quiet or (self.is_live and sys.stdout.isatty())
        self.start = self.shown_at = time.monotonic()

    def add(self, num_done: int, share: float | None) -> None:
        """So many more are done, and this share of all; None where nobody knows how many there are."""
        self.num_done += num_done
        now = time.monotonic()
        if not self.is_quiet and now - self.shown_at >= (LIVE_SECONDS if self.is_live else LOG_SECONDS):
            self.shown_at = now
            self._show(self._line(now - self.start, share), "" if self.is_live else "\n")

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        """The live line makes room for what is said next."""
        if self.is_live and not self.is_quiet:
            self._show("", "")

    def _line(self, seconds: float, share: float | None) -> str:
        done = f"{self.num_done:,} {self.unit}  {self.num_done / seconds:,.0f} {self.unit}/s"
        if not share:
            return done
        left = seconds * (1 - share) / share
        at = time.strftime("%H:%M:%S", time.localtime(time.time() + left))
        return f"{bar(share)} {done}  {clock(left)} left, until {at}"

    def _show(self, text: str, end: str) -> None:
        sys.stderr.write(f"\r\x1b[2K{text}{end}" if self.is_live else f"{text}{end}")
        sys.stderr.flush()


def bar(share: float, width: int = 16) -> str:
    """A share of 1 as a full bar."""
    full = round(width * share)
    return "█" * full + "·" * (width - full)


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes}:{rest:02d}"


def named(metric: str) -> str:
    """A score's name as a person reads it."""
    return metric.removesuffix("_percent").replace("_", " ")


def figure(metric: str, value: float) -> str:
    """A score, with its unit where the name has one."""
    return f"{value:.2f} %" if metric.endswith("_percent") else f"{value:.4f}"
