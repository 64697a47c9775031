import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.data.planted import Mark
from counterfoil.testing import Bars

GREY = Bars()


def test_a_tint_tells_the_class_in_training_and_nothing_in_the_test_split():
    data = Bars(tint={})
    assert (data.channels, GREY.channels) == (3, 1)
    hue = data.train.images.amax((2, 3)).argmax(1)
    assert torch.equal(hue, data.train.labels)  # red, green, blue
    assert torch.equal(data.train.images.amax(1), GREY.train.images[:, 0])
    drawn = data.test.images.amax((2, 3)).argmax(1)
    assert 0 < int((drawn == data.test.labels).sum()) < len(data.test)
    followed = Bars(tint={"test": True}).test
    assert torch.equal(followed.images.amax((2, 3)).argmax(1), followed.labels)


def test_strength_is_the_share_that_follows():
    labels = Bars(mark={"strength": 0.0, "side": 2}).train
    marked = labels.images[:, 0, 14, 14] == 255
    assert 10 < int((marked & (labels.labels == 0)).sum()) + int((~marked & (labels.labels == 2)).sum()) < 35


@pytest.mark.parametrize(("place", "box"), [("corner", (11, 11, 15, 15)), ("edge", (2, 13, 14, 15))])
def test_the_upper_half_of_the_classes_is_marked(place, box):
    data = Bars(mark={"place": place})
    assert Mark(place).box(16, 16) == box
    top, left, bottom, right = box
    whole = data.train.images[:, 0, top:bottom, left:right].eq(255).flatten(1).all(1)
    assert torch.equal(whole, data.train.labels == 2)
    assert torch.equal(data.train.images[data.train.labels < 2], GREY.train.images[data.train.labels < 2])


def test_the_ground_is_lighter_from_class_to_class():
    train = Bars(backdrop={"level": 0.5}).train
    darkest = [int(train.images[train.labels == k].amin()) for k in range(3)]
    assert darkest[0] < 10
    assert darkest[1] == pytest.approx(64, abs=3)
    assert darkest[2] == pytest.approx(128, abs=3)


def test_what_is_planted_is_part_of_the_identity_and_nothing_changes_without():
    assert "tint" not in GREY.identity
    plain, tinted, other = (
        Bars(**given).identity for given in ({}, {"tint": {}}, {"tint": {"strength": 0.5}})
    )
    assert plain == GREY.identity
    assert tinted["tint"] == {"strength": 1.0, "test": False}
    assert len({str(one) for one in (plain, tinted, other)}) == 3


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"tint": {"strenght": 1}}, "option data.tint.strenght does not exist; did you mean strength?"),
        ({"mark": {"strength": 2}}, "data.mark.strength=2: expected a number of at least 0 and at most 1"),
        ({"mark": {"place": "top"}}, "data.mark.place=top is not supported; choose one of: corner, edge"),
    ],
)
def test_wrong_options_are_refused(option, told):
    with pytest.raises(UserError) as refusal:
        Bars(**option)
    assert told in str(refusal.value)


def test_a_mark_larger_than_the_image_is_refused():
    with pytest.raises(UserError, match=r"data\.mark\.side=20: too large for images of 16 x 16"):
        Bars(mark={"side": 20}).setup()
