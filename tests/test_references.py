from threading import Barrier, Thread

import pytest

from mmagic_inik.ops import use_references, using_references


def test_threads_that_leave_in_another_order_leave_nothing_behind():
    inside, first_left = Barrier(2), Barrier(2)
    seen = []

    def first():
        with use_references():
            inside.wait(10)
        first_left.wait(10)

    thread = Thread(target=first)
    thread.start()
    # Entered while the other is in it, left after the other has.
    inside.wait(10)
    with use_references():
        first_left.wait(10)
        seen.append(using_references())
    thread.join()
    assert seen == [True]
    assert not using_references()


def test_many_threads_leave_nothing_behind():
    def go_in_and_out():
        for _ in range(2000):
            with use_references():
                assert using_references()

    threads = [Thread(target=go_in_and_out) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not using_references()


def test_contexts_may_lie_in_one_another_and_fail():
    with use_references():
        with pytest.raises(ZeroDivisionError), use_references():
            raise ZeroDivisionError
        assert using_references()
    assert not using_references()
