import numpy as np
import pytest
import torch
from PIL import Image

from guided_demo import Annotation
from guided_demo.geometry import Frame, scale_pixels


@pytest.mark.parametrize(
    ("size", "longest"),
    [((800, 600), 448), ((1, 1), 384), ((3000, 20), 448), ((17, 4000), 448), ((384, 384), 384), ((300, 400), 400)],
)
def test_any_size_fits_with_its_aspect_kept_and_sides_that_strides_divide(size, longest):
    frame = Frame.fit(size, 384)
    assert max(frame.content) == longest and all(n % 4 == 0 and n >= 4 for n in frame.content)
    assert all(n % 32 == 0 for n in frame.padded)
    for own, other in ((0, 1), (1, 0)):
        assert abs(frame.content[own] - size[own] * longest / max(size)) <= 2 or frame.content[own] == 4, other
    assert frame.to_input(np.zeros((*size[::-1], 3), np.uint8)).shape == (1, 3, *frame.padded)


@pytest.mark.parametrize("size", [(800, 600), (100, 61), (1, 1), (1500, 20), (13, 900)])
def test_photos_are_resized_as_pillow_does_and_padded_with_grey(size):
    photo = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    photo.flags.writeable = False  # as of a picture that NumPy only looks into
    frame = Frame.fit(size, 384)
    shown = frame.to_input(photo)[0].permute(1, 2, 0).numpy() * 255
    width, height = frame.content
    expected = np.asarray(Image.fromarray(photo).resize(frame.content, Image.Resampling.BILINEAR), np.float32)
    assert np.abs(shown[:height, :width] - expected).max() < 1.01
    shown[:height, :width] = 127
    assert np.allclose(shown, 127)


def test_pixels_go_to_the_pixel_that_holds_their_centre():
    rows, columns = np.arange(600), np.arange(600)
    found_rows, found_columns = scale_pixels(rows, columns, (800, 600), (384, 288))
    assert np.array_equal(found_rows, np.floor((rows + 0.5) * 288 / 600))
    assert np.array_equal(found_columns, np.floor((columns + 0.5) * 384 / 800))


def test_a_point_and_the_mask_around_it_meet_at_the_same_place():
    frame = Frame.fit((1000, 700), 128)
    for x, y in ((0.5, 0.5), (999.5, 699.5), (640.5, 120.5)):
        marks = frame.annotation_to_input(Annotation(points=[(x, y, "cat")]), ["cat"])
        assert marks.sum() == 1
        coarse = torch.nn.functional.avg_pool2d(marks.float(), 4)[0]
        back = frame.to_image(coarse, 4)[0].numpy()
        row, column = np.unravel_index(back.argmax(), back.shape)
        assert abs(row + 0.5 - y) < 700 / frame.content[1] * 4 and abs(column + 0.5 - x) < 1000 / frame.content[0] * 4
        assert back[int(y), int(x)] > 0


def test_maps_come_back_the_same_together_and_alone():
    torch.manual_seed(0)
    frame = Frame.fit((640, 480), 128)
    for count in range(1, 5):
        maps = torch.randn(count, *(side // 4 for side in frame.padded))
        assert torch.equal(frame.to_image(maps, 4), torch.cat([frame.to_image(each[None], 4) for each in maps]))


@pytest.mark.parametrize("stride", [1, 4, 8])
@pytest.mark.parametrize("width", [640, 620])  # 124 pixels of the input: 31 cells of stride 4, and 15.5 of stride 8
def test_maps_come_back_without_a_shift(stride, width):
    frame = Frame.fit((width, 660), 132)
    height, across = frame.padded
    ramp = ((torch.arange(across // stride) + 0.5) * stride).expand(1, height // stride, -1)
    found = frame.to_image(ramp, stride)[0, 100]
    wanted = (torch.arange(width) + 0.5) * frame.content[0] / width
    inner = slice(40, -40)  # bilinear, so flat over the last half of a cell
    assert torch.allclose(found[inner], wanted[inner], atol=0.01)
