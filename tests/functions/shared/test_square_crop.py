import math

import pytest

from functions.shared.square_crop import Box, SquareCrop, center_box


def make_crop(**changed: object) -> dict[str, object]:
    return {"x": 0.25, "y": 0.5, "size": 0.5, **changed}


def test_box_scales_fractions_to_pixels() -> None:
    assert SquareCrop.from_request(make_crop(x=0.25, y=0.1)).box(4000, 3000) == Box(1000, 300, 2500, 1800)
    assert SquareCrop.from_request(make_crop(x=0.1, y=0.25)).box(3000, 4000) == Box(300, 1000, 1800, 2500)


def test_from_request_accepts_integers() -> None:
    assert SquareCrop.from_request({"x": 0, "y": 0, "size": 1}) == SquareCrop(0.0, 0.0, 1.0)


def test_text_is_canonical_and_parses_to_same_crop() -> None:
    requested = SquareCrop.from_request(make_crop(x=1 / 3, y=1e-9, size=2 / 3))
    assert requested.text == "0.333333,0.000000,0.666667"
    assert SquareCrop.parse(requested.text) == requested


def test_from_request_rounding_errors_are_corrected() -> None:
    rounded = SquareCrop.from_request(make_crop(x=-1e-9, y=1 - 0.9, size=0.9000000000000001))
    assert rounded.text == "0.000000,0.100000,0.900000"
    assert SquareCrop.from_request(make_crop(x=0, y=0, size=1.0000001)).text == "0.000000,0.000000,1.000000"


def test_from_request_accepts_up_to_a_millionth_outside() -> None:
    assert SquareCrop.from_request(make_crop(x=-1e-6, y=1 + 1e-6)) == SquareCrop(0.0, 1.0, 0.5)
    for outside in (-2e-6, 1 + 2e-6):
        with pytest.raises(ValueError, match=r"^crop\.x .* is not a number from 0 to 1$"):
            SquareCrop.from_request(make_crop(x=outside))


@pytest.mark.parametrize(
    "wrong", [None, "0.5", True, False, math.nan, math.inf, -math.inf, -0.01, 1.01, [0.5], 10**400]
)
@pytest.mark.parametrize("name", ["x", "y", "size"])
def test_from_request_invalid_fraction_is_rejected(name: str, wrong: object) -> None:
    with pytest.raises(ValueError, match=rf"^crop\.{name} .* is not a number from 0 to 1$"):
        SquareCrop.from_request(make_crop(**{name: wrong}))


@pytest.mark.parametrize("wrong", [[], "0.1,0.1,0.5", 5, {}, {"x": 0, "y": 0}, {**make_crop(), "angle": 0}])
def test_from_request_other_object_is_rejected(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"^crop is not an object with exactly x, y and size$"):
        SquareCrop.from_request(wrong)


@pytest.mark.parametrize("size", [0, 0.0, 1e-7])
def test_from_request_size_of_zero_is_rejected(size: float) -> None:
    with pytest.raises(ValueError, match=r"^crop\.size is 0$"):
        SquareCrop.from_request(make_crop(size=size))


def test_from_request_crop_that_fits_no_image_is_rejected() -> None:
    with pytest.raises(ValueError, match="reaches over the edge of every picture"):
        SquareCrop.from_request(make_crop(x=0.6, y=0.51))
    assert SquareCrop.from_request(make_crop(x=0.5, y=0.6)), "fits into a tall image"
    assert SquareCrop.from_request(make_crop(x=0.6, y=0.5)), "fits into a wide image"


def test_box_past_edge_is_moved_inside() -> None:
    assert SquareCrop(0.9, 0.5, 0.5).box(200, 100) == Box(150, 50, 200, 100)
    assert SquareCrop(0.5, 0.9, 0.5).box(100, 200) == Box(50, 150, 100, 200)


@pytest.mark.parametrize(
    "text",
    ["", "0.5,0.5,0.5", "0.500000,0.500000", "0.500000,0.500000,0.500000,", " 0.500000,0.500000,0.500000", "nan,0,1",
     "0.500000,0.500000,0.000000", "2.000000,0.500000,0.500000"],
)  # fmt: skip
def test_parse_other_text_raises_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not the text of a crop"):
        SquareCrop.parse(text)


@pytest.mark.parametrize(("size", "box"), [((300, 100), Box(100, 0, 200, 100)), ((3, 8), Box(0, 2.5, 3, 5.5))])
def test_center_box_is_largest_centered_square(size: tuple[int, int], box: Box) -> None:
    assert center_box(*size) == box
