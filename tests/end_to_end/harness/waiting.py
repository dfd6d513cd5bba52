"""Waiting for a condition, with a limit: no test sleeps to be right."""

import time


class NotReached(AssertionError):
    """A condition did not become true within its limit; says what was waited for and what was seen last."""


def wait_for(condition, limit, what, interval=0.05, seen=None):
    """Calls `condition` until it gives something true, and returns that.

    `limit` in seconds. `what` completes the sentence "waited for …". `seen`, when given, is called once at the end: what
    it returns is part of the message. A condition that raises ends the waiting with its error.
    """
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            last = seen() if seen else value
            raise NotReached(f"waited {limit:g} s for {what}; last seen: {last!r}")
        time.sleep(interval)
