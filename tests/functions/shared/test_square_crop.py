import math

import pytest

from functions.shared.square_crop import Box, SquareCrop, centre


def crop(**changed: object) -> dict[str, object]:
    return {"x": 0.25, "y": 0.5, "size": 0.5, **changed}


def test_a_crop_is_fractions_of_the_upright_picture() -> None:
    assert SquareCrop.requested(crop(x=0.25, y=0.1)).box(4000, 3000) == Box(1000, 300, 2500, 1800)
    assert SquareCrop.requested(crop(x=0.1, y=0.25)).box(3000, 4000) == Box(300, 1000, 1800, 2500)


def test_whole_numbers_are_fractions_too() -> None:
    assert SquareCrop.requested({"x": 0, "y": 0, "size": 1}) == SquareCrop(0.0, 0.0, 1.0)


def test_a_text_is_always_the_same_and_gives_the_crop_back() -> None:
    asked = SquareCrop.requested(crop(x=1 / 3, y=1e-9, size=2 / 3))
    assert asked.text == "0.333333,0.000000,0.666667"
    assert SquareCrop.parse(asked.text) == asked


def test_what_arithmetic_makes_of_one_is_one() -> None:
    assert SquareCrop.requested(crop(x=-1e-9, y=1 - 0.9, size=0.9000000000000001)).text == "0.000000,0.100000,0.900000"
    assert SquareCrop.requested(crop(x=0, y=0, size=1.0000001)).text == "0.000000,0.000000,1.000000"


@pytest.mark.parametrize(
    "wrong", [None, "0.5", True, False, math.nan, math.inf, -math.inf, -0.01, 1.01, [0.5], 10**400]
)
@pytest.mark.parametrize("name", ["x", "y", "size"])
def test_what_is_no_fraction_is_refused(name: str, wrong: object) -> None:
    with pytest.raises(ValueError, match=rf"^crop\.{name} .* is not a number from 0 to 1$"):
        SquareCrop.requested(crop(**{name: wrong}))


@pytest.mark.parametrize("wrong", [[], "0.1,0.1,0.5", 5, {}, {"x": 0, "y": 0}, {**crop(), "angle": 0}])
def test_what_is_no_crop_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"^crop is not an object with exactly x, y and size$"):
        SquareCrop.requested(wrong)


@pytest.mark.parametrize("size", [0, 0.0, 1e-7])
def test_a_square_of_nothing_is_refused(size: float) -> None:
    with pytest.raises(ValueError, match=r"^crop\.size is 0$"):
        SquareCrop.requested(crop(size=size))


def test_a_square_that_no_picture_has_room_for_is_refused() -> None:
    with pytest.raises(ValueError, match="reaches over the edge of every picture"):
        SquareCrop.requested(crop(x=0.6, y=0.51))
    assert SquareCrop.requested(crop(x=0.5, y=0.6)), "in one that is high enough"
    assert SquareCrop.requested(crop(x=0.6, y=0.5)), "in one that is wide enough"


def test_a_square_over_an_edge_is_moved_back_to_it() -> None:
    assert SquareCrop(0.9, 0.5, 0.5).box(200, 100) == Box(150, 50, 200, 100)
    assert SquareCrop(0.5, 0.9, 0.5).box(100, 200) == Box(50, 150, 100, 200)


@pytest.mark.parametrize(
    "text",
    ["", "0.5,0.5,0.5", "0.500000,0.500000", "0.500000,0.500000,0.500000,", " 0.500000,0.500000,0.500000", "nan,0,1",
     "0.500000,0.500000,0.000000", "2.000000,0.500000,0.500000"],
)  # fmt: skip
def test_a_text_that_was_not_made_here_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not the text of a crop"):
        SquareCrop.parse(text)


@pytest.mark.parametrize(("size", "box"), [((300, 100), Box(100, 0, 200, 100)), ((3, 8), Box(0, 2.5, 3, 5.5))])
def test_the_centre_is_for_who_chose_none(size: tuple[int, int], box: Box) -> None:
    assert centre(*size) == box
