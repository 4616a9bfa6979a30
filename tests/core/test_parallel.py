"""A photo a core: the order stays, little is taken ahead, and nobody else's threads change."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from guided_demo.core import parallel
from guided_demo.core.parallel import SIDE_BY_SIDE, side_by_side


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_come_in_order_however_long_each_takes():
    later = threading.Event()

    def make(number):
        if number == 0 and SIDE_BY_SIDE > 1:
            assert later.wait(60), "the second is worked on while the first is"
        later.set()
        return number**2

    assert [made.result() for made in side_by_side(make, range(20))] == [number**2 for number in range(20)]


def test_items_are_taken_as_they_are_needed_and_none_is_begun_after_the_end():
    taken, begun, go_on = [], [], threading.Event()

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    def make(number):
        begun.append(number)
        assert go_on.wait(60)

    made = side_by_side(make, items())
    next(made)
    assert len(taken) == SIDE_BY_SIDE + 1
    made.close()
    go_on.set()
    assert [result.result() for result in side_by_side(abs, [-1])] == [1]  # by when the others have ended
    assert set(begun) <= set(range(SIDE_BY_SIDE))


def test_what_fails_is_told_by_its_own_result_and_stops_no_other():
    results = list(side_by_side(lambda number: 1 // number, [1, 0, -1]))
    assert [results[0].result(), results[2].result()] == [1, -1]
    with pytest.raises(ZeroDivisionError):
        results[1].result()


def test_each_is_in_a_thread_of_its_own_and_other_threads_keep_theirs(two_threads):
    threads = [made.result() for made in side_by_side(lambda _: (torch.get_num_threads(), threading.get_ident()), range(8))]
    assert {count for count, _ in threads} == {1} and threading.get_ident() not in {ident for _, ident in threads}
    with ThreadPoolExecutor(1) as later:
        assert torch.get_num_threads() == later.submit(torch.get_num_threads).result() == 2


def test_what_interrupts_the_beginning_leaves_no_thread_waiting_for_ever(monkeypatch):
    begun, submit = [], ThreadPoolExecutor.submit

    def interrupted(workers, *given):
        if len(begun) == 1:
            raise KeyboardInterrupt
        begun.append(submit(workers, *given))
        return begun[0]

    monkeypatch.setattr(parallel, "SIDE_BY_SIDE", 2)
    monkeypatch.setattr(ThreadPoolExecutor, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        parallel._workers.__wrapped__()
    assert isinstance(begun[0].exception(timeout=60), threading.BrokenBarrierError)
