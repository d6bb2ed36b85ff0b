"""Taking turns."""

from __future__ import annotations

import threading
import time

from media.turns import Turns


def test_first_come_first_served_and_given_by_another_thread() -> None:
    turns, order = Turns(), []
    turns.take()
    threads = []
    for number in range(5):
        thread = threading.Thread(
            target=lambda n=number: (turns.take(), order.append(n), turns.give())
        )
        thread.start()
        threads.append(thread)
        while turns.waiting <= number:
            time.sleep(0.001)
    assert turns.waiting == 5
    giver = threading.Thread(target=turns.give)
    giver.start()
    for thread in [giver, *threads]:
        thread.join(10)
    assert order == [0, 1, 2, 3, 4]
    assert turns.waiting == 0
    with turns:
        pass
