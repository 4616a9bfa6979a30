"""What is kept of the values used last."""

from guided_demo.recent import Recent


def test_what_was_not_used_for_longest_leaves_first():
    recent = Recent(2)
    for key in "ab":
        recent.put(key, key.upper())
    assert recent.get("a") == "A"
    assert recent.put("c", "C") == "C"
    assert [recent.get(key) for key in "abc"] == ["A", None, "C"]


def test_what_is_kept_weighs_no_more_than_the_limit_but_the_last_is_kept():
    recent = Recent(10)
    for key, weight in (("a", 4), ("b", 4), ("a", 6)):
        recent.put(key, weight, weight)
    assert "a" in recent and "b" in recent
    recent.put("c", 3, 3)
    assert "b" not in recent and "a" in recent and "c" in recent
    recent.put("d", 99, 99)
    assert [recent.get(key) for key in "abcd"] == [None, None, None, 99]
    recent.put("d", 1, 1)
    recent.put("e", 9, 9)
    assert "d" in recent
