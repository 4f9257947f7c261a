"""The pace of requests to a server, and the order in which their answers are taken."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed

from parabench.contracts import Paraphrase

Clock = Callable[[], float]


class Pace:
    """Lets one request through every ``gap`` seconds, whichever thread it comes from."""

    def __init__(self, gap: float, clock: Clock, sleep: Callable[[float], object]) -> None:
        self.gap, self.clock, self.sleep = gap, clock, sleep
        self.lock, self.next, self.over = threading.Lock(), 0.0, False

    def wait_for_turn(self) -> None:
        """Return when the next request may be sent."""
        with self.lock:  # the turn is taken under the lock, the wait is not: threads queue in time
            now = self.clock()
            wait = max(0.0, self.next - now)
            self.next = max(now, self.next) + self.gap
        if wait:
            self.sleep(wait)


def as_they_come(
    asked: dict[Future[Paraphrase], int], pace: Pace
) -> Iterator[Sequence[Paraphrase]]:
    """Yield answers as they finish; raise the first failure when all that was sent has come back.

    Requests on their way are paid for, so their answers are still taken; no new one is sent.
    """
    failure: BaseException | None = None
    for answer in as_completed(asked):
        if answer.cancelled():
            continue
        if error := answer.exception():
            failure = failure or error
            pace.over = True
            for waiting in asked:
                waiting.cancel()
        else:
            yield [answer.result()._replace(position=asked[answer])]
    if failure:
        raise failure
