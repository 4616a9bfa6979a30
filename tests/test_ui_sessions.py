"""Tokens and the lives of desks, on a clock that the test moves."""

import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from guided_demo.errors import InputError
from guided_demo.ui import sessions as module
from guided_demo.ui.sessions import GRACE_SECONDS, IDLE_SECONDS, KEEP_SECONDS, Sessions


class Clock:
    now = 1e9

    def __call__(self):
        return self.now


class Desk:
    """A desk that knows where it is, and whether anything was done at it."""

    def __init__(self, folder):
        if (folder / "damaged").exists():
            raise InputError("This cannot be opened.")
        self.folder = folder
        self.is_touched = True
        self.is_closed = False

    def close(self):
        self.is_closed = True


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sessions(clock):
    made = Sessions(make=Desk, clock=clock)
    yield made
    made.close()


@pytest.fixture
def start(clock, tmp_path):
    """Starts a server whose desks last, as often as one likes."""
    return lambda: Sessions(make=Desk, root=tmp_path / "work", clock=clock)


def test_every_page_gets_a_token_and_a_desk_of_its_own(sessions):
    opened = [sessions.open() for _ in range(5)]
    assert len({token for token, *_ in opened}) == len({desk for _, desk, _ in opened}) == 5
    assert all(len(token) >= 24 and sessions.find(token) is desk for token, desk, _ in opened)


@pytest.mark.parametrize("token", [None, "", "guess", "\ud800", 7, ["x"], {}])
def test_whoever_has_no_token_gets_no_desk(sessions, token):
    sessions.open()
    assert sessions.find(token) is None


def test_a_reload_brings_the_desk_back_under_a_new_token(sessions):
    old, desk, _ = sessions.open()
    sessions.enter("page 1", old)
    sessions.leave("page 1")
    new, again, _ = sessions.open(old)
    assert again is desk and new != old
    assert sessions.find(old) is None


def test_a_page_that_leaves_late_does_not_end_the_one_that_came_after(sessions, clock):
    old, desk, _ = sessions.open()
    sessions.enter("page 1", old)
    new, _, _ = sessions.open(old)
    sessions.leave("page 1")
    clock.now += GRACE_SECONDS + 1
    sessions.open()
    assert sessions.find(new) is desk


def test_a_desk_and_its_folder_go_when_its_page_has_gone(sessions, clock):
    token, desk, _ = sessions.open()
    sessions.enter("page", token)
    sessions.leave("page")
    clock.now += GRACE_SECONDS - 1
    assert sessions.find(token) is desk  # asked for, so it counts as used
    clock.now += GRACE_SECONDS + 1
    sessions.open()
    assert sessions.find(token) is None
    assert desk.is_closed and not desk.folder.exists()


def test_a_desk_that_nobody_uses_goes(sessions, clock):
    token, _, _ = sessions.open()
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


def test_nothing_is_kept_of_pages_without_a_desk(sessions, clock):
    token, *_ = sessions.open()
    sessions.enter("a", token)
    sessions.enter("b", "guess")
    clock.now += IDLE_SECONDS + 1
    sessions.leave("c")
    assert not sessions._pages


def test_many_empty_desks_do_not_end_the_work_at_another(sessions, clock, monkeypatch):
    monkeypatch.setattr(module, "MOST_DESKS", 3)
    token, *_ = sessions.open()
    for _ in range(6):
        clock.now += 1
        sessions.open()[1].is_touched = False
    assert sessions.find(token) is not None


def test_nothing_outlives_the_server_unless_it_is_to(sessions):
    token, desk, _ = sessions.open()
    sessions.close()
    assert not desk.folder.exists()
    assert not sessions.is_kept(token)


@pytest.mark.parametrize("orderly", [True, False])
def test_work_outlives_the_server_in_a_lasting_folder(start, orderly):
    first = start()
    token, desk, _ = first.open()
    if orderly:
        first.close()
    second = start()
    assert second.find(token) is None and second.is_kept(token)
    new, again, _ = second.open(token)
    assert again.folder == desk.folder and new != token
    assert second.find(new) is again
    assert not second.is_kept(token) and second.open(token)[1].folder != desk.folder


def test_a_page_that_never_heard_of_its_new_token_keeps_the_old_one(start):
    token, desk, _ = start().open()
    start().open(token)  # and the server is killed before the answer arrives
    third = start()
    third.open(token)
    new, again, _ = third.open(token)
    assert again.folder == desk.folder
    third.find(new)
    assert third.open(token)[1].folder != desk.folder


def test_a_new_tab_goes_on_where_the_last_one_was_closed_but_takes_nothing_from_an_open_one(start):
    sessions = start()
    token, desk, _ = sessions.open()
    sessions.enter("page 1", token)
    assert sessions.open(None, [token])[1] is not desk
    sessions.leave("page 1")
    new, again, _ = sessions.open(None, [token])
    assert again is desk
    assert start().open("of another tab", [new])[1].folder == desk.folder


def test_of_several_closed_tabs_the_first_named_that_can_be_is_gone_on_with(start):
    sessions = start()
    (a, desk_a, _), (b, desk_b, _) = sessions.open(), sessions.open()
    for page, token in (("page a", a), ("page b", b)):
        sessions.enter(page, token)
    sessions.leave("page b")
    new, desk, was = sessions.open(None, ["worn out", a, b])
    assert desk is desk_b and was == b
    sessions.leave("page a")
    assert sessions.open(None, [new, a])[1:] == (desk_a, a)
    assert sessions.open()[2] is None


def test_only_digests_of_tokens_are_on_disk_and_only_for_the_user(start, tmp_path):
    token, desk, _ = start().open()
    files = [path for path in (tmp_path / "work").rglob("*") if path.is_file()]
    assert files and not any(token.encode() in path.read_bytes() or token in str(path) for path in files)
    for folder in (tmp_path / "work", desk.folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_was_there_keeps_its_rights_and_what_is_made_in_it_is_the_users_alone(start, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work").chmod(0o755)
    _, desk, _ = start().open()
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (tmp_path / "work", desk.folder)] == [0o755, 0o700]


@pytest.mark.parametrize("guess", ["", "../other", "*", "token.json", None, 7, "a" * 32])
def test_nobody_gets_a_stored_desk_by_guessing(start, guess):
    _, desk, _ = start().open()
    assert start().open(guess, [guess])[1].folder != desk.folder


def test_a_desk_that_is_let_go_is_put_away_and_after_a_month_deleted(start, clock):
    sessions = start()
    token, desk, _ = sessions.open()
    clock.now += IDLE_SECONDS + 1
    sessions.leave("anyone")
    assert sessions.find(token) is None and desk.is_closed
    token, again, _ = sessions.open(token)
    assert again.folder == desk.folder
    sessions.close()
    clock.now += KEEP_SECONDS + 1
    assert start().open(token)[1].folder != desk.folder
    assert not desk.folder.exists()


def test_a_desk_at_which_nothing_was_done_is_not_kept(start):
    sessions = start()
    _, desk, _ = sessions.open()
    desk.is_touched = False
    sessions.close()
    assert not desk.folder.exists()


def test_a_folder_that_cannot_be_opened_is_left_alone(start):
    token, desk, _ = start().open()
    (desk.folder / "damaged").touch()
    assert start().open(token)[1].folder != desk.folder
    assert desk.folder.exists()


@pytest.mark.parametrize("restarted", [False, True])
def test_two_reloads_at_once_do_not_have_two_desks_in_one_folder(start, restarted):
    sessions = start()
    token, *_ = sessions.open()
    if restarted:
        sessions.close()
        sessions = start()
    made, both = [], threading.Barrier(2)

    def make(folder):
        made.append(folder)
        return Desk(folder)

    sessions.make = make

    def reload():
        both.wait()
        return sessions.open(token)

    with ThreadPoolExecutor(2) as pages:
        first, second = (page.result() for page in [pages.submit(reload), pages.submit(reload)])
    assert first[1] is second[1], "the one that comes later has the same desk"
    assert len(made) == restarted
    folder = first[1].folder
    sessions.close()
    assert folder.is_dir()


def test_a_full_disk_ends_neither_looking_nor_opening(start, clock, monkeypatch):
    sessions = start()
    token, desk, _ = sessions.open()

    def full(path, data):
        raise InputError("The disk is full.")

    monkeypatch.setattr(module, "write_atomic", full)
    clock.now += 3600
    assert sessions.find(token) is desk
    again, same, _ = sessions.open(token)
    assert same is desk and sessions.find(again) is desk


def test_a_desk_that_could_not_be_made_leaves_nothing(clock, tmp_path):
    def make(folder):
        (folder / "lock").touch()
        raise InputError("The disk is full.")

    sessions = Sessions(make=make, root=tmp_path / "work", clock=clock)
    for _ in range(3):
        with pytest.raises(InputError, match="full"):
            sessions.open()
    assert list((tmp_path / "work").iterdir()) == []
    (tmp_path / "work").rmdir()
    with pytest.raises(InputError, match="work cannot be written"):
        sessions.open()


def test_no_other_tab_takes_a_desk_whose_page_goes_on_though_its_connection_was_lost(start, clock):
    sessions = start()
    token, desk, _ = sessions.open()
    sessions.enter("page", token)
    sessions.leave("page")
    clock.now += 7200
    sessions.find(token)
    assert sessions.open(None, [token])[1] is not desk
    assert sessions.find(token) is desk
