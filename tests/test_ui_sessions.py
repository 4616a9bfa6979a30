"""Tokens and the lives of desks, on a clock that the test moves."""

from pathlib import Path

import pytest

from guided_demo.ui import sessions as module
from guided_demo.ui.sessions import GRACE_SECONDS, IDLE_SECONDS, Sessions


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sessions(clock):
    made = Sessions(make=lambda folder: folder, clock=clock)
    yield made
    made.close()


def test_every_page_gets_a_token_and_a_desk_of_its_own(sessions):
    opened = [sessions.open() for _ in range(5)]
    assert len({token for token, _ in opened}) == len({desk for _, desk in opened}) == 5
    assert all(len(token) >= 24 and sessions.find(token) is desk for token, desk in opened)


@pytest.mark.parametrize("token", [None, "", "guess", 7, ["x"], {}])
def test_whoever_has_no_token_gets_no_desk(sessions, token):
    sessions.open()
    assert sessions.find(token) is None


def test_a_reload_brings_the_desk_back_under_a_new_token(sessions):
    old, desk = sessions.open()
    sessions.enter("page 1", old)
    sessions.leave("page 1")
    new, again = sessions.open(old)
    assert again is desk and new != old
    assert sessions.find(old) is None


def test_a_page_that_leaves_late_does_not_end_the_one_that_came_after(sessions, clock):
    old, desk = sessions.open()
    sessions.enter("page 1", old)
    new, _ = sessions.open(old)
    sessions.leave("page 1")
    clock.now += GRACE_SECONDS + 1
    sessions.open()
    assert sessions.find(new) is desk


def test_a_desk_and_its_folder_go_when_its_page_has_gone(sessions, clock):
    token, folder = sessions.open()
    sessions.enter("page", token)
    sessions.leave("page")
    clock.now += GRACE_SECONDS - 1
    assert sessions.find(token) is folder  # asked for, so it counts as used
    clock.now += GRACE_SECONDS + 1
    sessions.open()
    assert sessions.find(token) is None
    assert not Path(folder).exists()


def test_a_desk_that_nobody_uses_goes(sessions, clock):
    token, _ = sessions.open()
    clock.now += IDLE_SECONDS + 1
    sessions.open()
    assert sessions.find(token) is None


def test_there_are_never_too_many_desks(sessions, clock, monkeypatch):
    monkeypatch.setattr(module, "MOST_DESKS", 3)
    tokens = []
    for _ in range(6):
        clock.now += 1
        tokens.append(sessions.open()[0])
    sessions.leave("anyone")
    assert [sessions.find(token) is not None for token in tokens] == [False] * 3 + [True] * 3
