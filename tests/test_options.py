"""Arguments that no command takes: what is said of them."""

import pytest

from guided_demo.cli import main


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["paint"], ["guide"], ["guide", "a.jpg", "--point", "1,2", "-o", "x"], ["segment", "g", "-o", "x"],
        ["guide", "a.jpg", "--point", "a,b,cat", "-o", "x"], ["guide", "a.jpg", "--stroke", "cat", "-o", "x"],
        ["guide", "a.jpg", "--stroke", "cat", "1,2,3", "-o", "x"], ["segment", "g", "a.jpg", "-o", "x", "--scope", "all"],
        ["segment", "g", "a.jpg", "-o", "x", "--unsure", "80"], ["segment", "g", "a.jpg", "-o", "x", "--device", "gpu"],
    ],
)  # fmt: skip
def test_what_argparse_refuses_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given, words",
    [
        (["--unsure", "much"], "'much' is not a number from 0 to 1"),
        (["--point", "1,2"], "a point is X,Y,CLASS, such as 310,220,lion, and not '1,2'"),
        (["--masks", "m", "--classes", "background,,cat"], "A class needs a name."),
        (["--masks", ""], "argument --masks: a path is empty"),
    ],
)
def test_an_argument_of_another_form_is_refused_with_what_is_wanted(given, words, capsys):
    with pytest.raises(SystemExit):
        main(["segment" if "--unsure" in given else "guide", "a.jpg", *given, "-o", "x"])
    assert words in capsys.readouterr().err
