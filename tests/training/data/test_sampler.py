import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data import IdentitySampler, SamplerError

COUNTS = [1, 2, 3, 5, 9, 1, 4, 2, 7]
LABELS = np.repeat(np.arange(len(COUNTS)), COUNTS)[np.random.default_rng(0).permutation(sum(COUNTS))]


def epochs(sampler, count):
    return [[batch.tolist() for batch in sampler] for _ in range(count)]


@settings(deadline=None, max_examples=60)
@given(
    counts=st.lists(st.integers(1, 6), min_size=2, max_size=12),
    people=st.integers(2, 5),
    pictures=st.integers(2, 5),
    seed=st.integers(0, 3),
)
def test_every_batch_has_p_people_with_k_pictures_and_an_epoch_shows_everybody(counts, people, pictures, seed):
    labels = np.repeat([f"p{at}" for at in range(len(counts))], counts)
    usable = {f"p{at}" for at, count in enumerate(counts) if count > 1}
    if len(usable) < people:
        with pytest.raises(SamplerError, match=f"and {len(usable)} of the {len(counts)} have as many"):
            IdentitySampler(labels, people, pictures, seed=seed)
        return
    sampler = IdentitySampler(labels, people, pictures, seed=seed)
    assert sampler.skipped_people == len(counts) - len(usable)
    batches = list(sampler)
    assert len(batches) == len(sampler) == -(-len(usable) // people)
    assert {str(person) for batch in batches for person in labels[batch]} == usable
    for batch in batches:
        groups = batch.reshape(people, pictures)
        owners = labels[groups]
        assert (owners == owners[:, :1]).all()
        assert len(set(owners[:, 0])) == people
        for owner, group in zip(owners[:, 0], groups, strict=True):
            own = int((labels == owner).sum())
            assert len(set(group.tolist())) == min(pictures, own) > 1
            times = Counter(group.tolist()).values()
            assert max(times) - min(times) <= 1


def test_only_the_filled_up_batch_repeats_people():
    batches = [set(LABELS[batch]) for batch in IdentitySampler(LABELS, 3, 2)]
    assert [len(batch) for batch in batches] == [3, 3, 3]
    assert len(batches[0] | batches[1]) == 6
    assert len(batches[2] - batches[0] - batches[1]) == 1


def test_batches_follow_from_seed_and_epoch_and_differ_between_them():
    first = epochs(IdentitySampler(LABELS, 3, 2, seed=4), 3)
    assert epochs(IdentitySampler(LABELS, 3, 2, seed=4), 3) == first
    assert first[0] != first[1] != first[2]
    assert epochs(IdentitySampler(LABELS, 3, 2, seed=5), 1) != first[:1]
    sampler = IdentitySampler(LABELS, 3, 2, seed=4)
    assert [sampler.batch(2, number).tolist() for number in range(3)] == first[2]
    assert sampler.epoch == 0


@pytest.mark.parametrize("world", [2, 3])
def test_the_ranks_parts_side_by_side_are_the_global_batch(world):
    whole = epochs(IdentitySampler(LABELS, 6, 2, seed=1), 2)
    parts = [epochs(IdentitySampler(LABELS, 6, 2, seed=1, rank=rank, world=world), 2) for rank in range(world)]
    for epoch in range(2):
        for number, batch in enumerate(whole[epoch]):
            assert [place for part in parts for place in part[epoch][number]] == batch


def test_a_restored_sampler_goes_on_with_the_next_batch_of_the_same_epoch():
    uninterrupted = epochs(IdentitySampler(LABELS, 2, 3, seed=2), 3)
    sampler = IdentitySampler(LABELS, 2, 3, seed=2)
    list(sampler)
    begun = iter(sampler)
    seen = [next(begun).tolist(), next(begun).tolist()]
    state = json.loads(json.dumps(sampler.state_dict()))  # plain enough for any checkpoint
    resumed = IdentitySampler(LABELS, 2, 3, seed=2)
    resumed.load_state_dict(state)
    assert resumed.epoch == 1
    assert [seen + [batch.tolist() for batch in resumed], *epochs(resumed, 1)] == uninterrupted[1:]


def test_a_state_saved_after_the_last_batch_of_an_epoch_goes_on_with_the_next_epoch():
    sampler = IdentitySampler(LABELS, 2, 3)
    batches = iter(sampler)
    for _ in range(len(sampler)):
        next(batches)
    resumed = IdentitySampler(LABELS, 2, 3)
    resumed.load_state_dict(sampler.state_dict())
    assert list(resumed) == []
    assert epochs(resumed, 1) == epochs(IdentitySampler(LABELS, 2, 3), 2)[1:]


def test_a_run_is_resumed_on_another_number_of_processes():
    sampler = IdentitySampler(LABELS, 4, 2, rank=1, world=2)
    next(iter(sampler))
    alone = IdentitySampler(LABELS, 4, 2)
    alone.load_state_dict(sampler.state_dict())
    assert next(iter(alone)).tolist() == epochs(IdentitySampler(LABELS, 4, 2), 1)[0][1]


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (IdentitySampler(LABELS[:-1], 2, 3), "the pictures or their people"),
        (IdentitySampler(LABELS, 3, 3), r"people \(3, now 2\)"),
        (IdentitySampler(LABELS, 2, 2), r"pictures \(2, now 3\)"),
        (IdentitySampler(LABELS, 2, 3, seed=1), r"seed \(1, now 0\)"),
    ],
)
def test_a_state_of_other_batches_is_refused(other, sentence):
    with pytest.raises(SamplerError, match=sentence):
        IdentitySampler(LABELS, 2, 3).load_state_dict(other.state_dict())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"people": 1, "pictures": 2}, "such as 2"),
        ({"people": 4, "pictures": 1}, "no pair of one person"),
        ({"people": 5, "pictures": 2, "world": 2}, "a multiple of 2 that leaves each at least 2, such as 4"),
        ({"people": 2, "pictures": 2, "world": 2}, "such as 4"),
        ({"people": 4, "pictures": 2, "world": 2, "rank": 2}, "have the ranks 0 to 1"),
        ({"people": 8, "pictures": 2}, "takes 8 people .* 7 of the 9 have as many"),
    ],
)
def test_batches_without_a_pair_or_without_a_stranger_are_refused(arguments, sentence):
    with pytest.raises(SamplerError, match=sentence):
        IdentitySampler(LABELS, **arguments)


def test_no_pictures_at_all_are_a_sentence():
    with pytest.raises(SamplerError, match="0 of the 0"):
        IdentitySampler([], 2, 2)
