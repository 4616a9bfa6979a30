"""The page as a program: where it keeps people's work."""

import app


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
