import pytest

from training.data import DataError, Rendering, load_dataset
from training.data.synthetic import SyntheticSpec, plan

SPEC = SyntheticSpec(people=4, cameras=3, seed=5, size=(64, 32), train_fraction=0.25)


def test_the_plan_becomes_the_splits_with_all_its_labels():
    dataset = load_dataset("synthetic:people=4,cameras=3,seed=5,size=64x32,train_fraction=0.25")
    crops = plan(SPEC)
    assert sum(len(split) for split in dataset.splits.values()) == len(crops)
    for name in ("train", "query", "gallery"):
        expected = [crop for crop in crops if crop.split == name]
        assert expected
        for picture, crop in zip(dataset.splits[name], expected, strict=True):
            assert picture.source == Rendering(SPEC, crop)
            assert (picture.name, picture.person, picture.camera) == (crop.path, crop.person, crop.camera)
            assert (picture.viewpoint, picture.captured_at) == (crop.viewpoint, crop.captured_at)
            assert picture.tracklet == crop.tracklet


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("people=many", "people is 'many'; write a whole number"),
        ("people=1", "people is 1, but must lie from 2"),
        ("size=64", "size is '64'; write HEIGHTxWIDTH"),
        ("sibling_share=some", "sibling_share is 'some'; write a number"),
        ("cameros=3", r"no option cameros \(did you mean cameras\?\)"),
        ("60", "'60' is not an option; write synthetic:people=N"),
    ],
)
def test_a_wrong_option_is_a_sentence(options, sentence):
    with pytest.raises(DataError, match=sentence):
        load_dataset(f"synthetic:{options}")
