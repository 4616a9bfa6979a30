"""The page as a program: where it keeps people's work."""

import os
from types import SimpleNamespace

import app
from guided_demo.ui.bodies import BoundedBodies


def test_work_is_kept_in_a_folder_that_can_be_named(monkeypatch, tmp_path):
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.setenv("GUIDED_DEMO_WORK", str(tmp_path / "work"))
    assert app.work_folder() == tmp_path / "work"
    monkeypatch.delenv("GUIDED_DEMO_WORK")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert app.work_folder() == tmp_path / "data" / "guided-demo"


def test_a_space_keeps_nothing_for_good(monkeypatch, tmp_path):
    monkeypatch.setenv("SPACE_ID", "you/demo")
    monkeypatch.setenv("GUIDED_DEMO_WORK", str(tmp_path / "work"))
    assert app.work_folder() is None
    assert not (tmp_path / "work").exists()


def test_where_nothing_can_be_kept_the_page_starts_and_says_so(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").touch()
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.setenv("GUIDED_DEMO_WORK", str(tmp_path / "file" / "work"))
    assert app.work_folder() is None
    assert "will not outlive" in capsys.readouterr().out
    monkeypatch.setenv("GUIDED_DEMO_WORK", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *asked: False)  # root may write anywhere
    assert app.work_folder() is None
    assert f"{tmp_path} cannot be written" in capsys.readouterr().out


def test_who_has_no_home_is_told_how_to_name_a_folder(monkeypatch, tmp_path, capsys):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    for name in ("SPACE_ID", "GUIDED_DEMO_WORK", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(app.Path, "home", no_home)
    assert app.work_folder() is None
    assert "GUIDED_DEMO_WORK can name another folder" in capsys.readouterr().out
    monkeypatch.setenv("GUIDED_DEMO_WORK", str(tmp_path))
    assert app.work_folder() == tmp_path


def test_what_programs_upload_is_not_for_other_users_of_the_machine(monkeypatch, tmp_path):
    _start(monkeypatch, lambda **options: (tmp_path / "upload").touch())
    assert (tmp_path / "upload").stat().st_mode & 0o077 == 0


def test_what_programs_sent_is_not_kept_in_memory_for_thousands_of_calls(monkeypatch):
    """Gradio's own bound is 10,000, and every call with a photo of 8 MB in it kept 20 MB."""
    options = {}
    _start(monkeypatch, lambda **given: options.update(given))
    assert options["state_session_capacity"] <= 20


def test_no_request_can_take_all_memory(monkeypatch):
    """A body of 500 MB took 1.9 GB, and one of 50 MB in short numbers kept all others waiting for 25 seconds."""
    options = {}
    _start(monkeypatch, lambda **given: options.update(given))
    (bound,) = options["app_kwargs"]["middleware"]
    assert bound.cls is BoundedBodies and bound.kwargs == {"file_bytes": app.MAX_FILE_BYTES}


def _start(monkeypatch, launch):
    """What `python app.py` does, with another launch."""
    monkeypatch.setattr(app, "build", lambda *given: SimpleNamespace(launch=launch))
    monkeypatch.setattr(app, "work_folder", lambda: None)
    monkeypatch.setattr(app.GuidedSegmenter, "load", lambda: None)
    monkeypatch.setattr(app.torch, "set_num_threads", lambda number: None)
    monkeypatch.setattr(app.signal, "signal", lambda *given: None)
    monkeypatch.setattr("sys.argv", ["app.py"])
    before = os.umask(0o022)
    try:
        app.main()
    finally:
        os.umask(before)
