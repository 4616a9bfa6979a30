"""Which photo a file is about, and names that tell photos apart."""

import pytest

from guided_demo import InputError
from guided_demo.naming import Naming, distinct
from guided_demo.session import ImageItem


def naming(*names):
    return Naming((ImageItem(str(number), name, (8, 6)) for number, name in enumerate(names)))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("one/a.png", "one/a.jpg"),
        ("labels/two/a.txt", "two/a.jpg"),
        ("b.jpg", "b.jpg"),
        ("masks/c.tar.tif", "c.tar.png"),
        ("d.jpg", None),
        ("", None),
    ],
)
def test_a_name_finds_its_image_or_none(name, wanted):
    item = naming("one/a.jpg", "two/a.jpg", "b.png", "b.jpg", "c.tar.png").find(name)
    assert (item and item.name) == wanted


@pytest.mark.parametrize("name", ["a.png", "masks/a.png", "a.jpg"])
def test_a_name_that_is_as_near_to_several_is_refused(name):
    with pytest.raises(InputError, match=r"one/a\.jpg or two/a\.jpg"):
        naming("one/a.jpg", "two/a.jpg", "b.png").find(name)


def test_of_a_mask_the_ending_says_nothing_and_of_a_name_it_does():
    photos = naming("a.jpg", "a.png", "b.jpg", "day/b.png")
    for name in ("a.png", "masks/a.png", "labels/a.txt"):
        with pytest.raises(InputError, match=r"a\.jpg or a\.png: several photos .* but for the ending\. .*, such as a\.jpg\."):
            photos.find(name, is_mask=True)
    assert [photos.find(name).name for name in ("a.png", "images/a.jpg", "b.png")] == ["a.png", "a.jpg", "day/b.png"]
    assert [photos.find(f"m/{name}", is_mask=True).name for name in ("a.png.png", "a.jpg.png")] == ["a.png", "a.jpg"]


def test_letters_that_a_system_took_apart_are_the_same():
    apart, composed = "Lo\u0308we", "L\u00f6we"
    assert naming(f"{apart}.jpg").find(f"{composed}.png", is_mask=True).name == f"{apart}.jpg"
    assert naming(f"{composed}.jpg").find(f"{apart}.txt").name == f"{composed}.jpg"


def test_a_mask_that_has_all_of_the_path_of_a_photo_is_about_that():
    photos = naming("a.jpg", "day/a.jpg", "night/a.png")
    wanted = {"a.png": "a.jpg", "day/a.png": "day/a.jpg", "masks/night/a.png": "night/a.png"}
    assert {name: photos.find(name, is_mask=True).name for name in wanted} == wanted


def test_a_photo_is_found_by_the_name_that_files_made_here_have_for_it():
    photos = naming("a:b/c?.jpg", "d:e.jpg", "d_e.jpg")
    assert [photos.find(name).name for name in ("a_b/c_.png", "c_.png", "c?.png", "d:e.jpg")] == ["a:b/c?.jpg"] * 3 + ["d:e.jpg"]
    with pytest.raises(InputError, match=r"d:e\.jpg or d_e\.jpg"):
        photos.find("d_e.png")


@pytest.mark.timeout(20)  # looked for one by one, it was minutes
def test_ten_thousand_masks_find_their_photos():
    photos = naming(*(f"images/{number}.jpg" for number in range(10_000)))
    for number in range(10_000):
        assert photos.find(f"masks/{number}.png").name == f"images/{number}.jpg"


def test_names_are_told_apart_by_a_number():
    assert distinct("trip/a.tar.jpg", []) == "trip/a.tar.jpg"
    assert distinct("trip/a.tar.jpg", ["a.tar.jpg"]) == "trip/a.tar.jpg"
    assert distinct("trip/a.tar.jpg", ["Trip/A.tar.JPG", "trip/a.tar-2.jpg"]) == "trip/a.tar-3.jpg"
    assert distinct("a", ["a"]) == "a-2"
    assert [distinct(name, []) for name in ("", ".", "/", "..", "a\ud800.jpg")] == ["image", "image", "image", "..", "a?.jpg"]
    assert distinct(".", ["image"]) == "image-2" and distinct("..", [".."]) == "..-2"
