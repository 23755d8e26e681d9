"""Batches of P people with K pictures each, which is what metric losses learn from."""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from training.data.errors import SamplerError


class IdentitySampler:
    """Endless epochs of batches; one epoch shows every person at least once.

    An epoch is a random order of all people, cut into groups of P; where the last group is short it is filled up with
    people from the epoch's beginning, so every batch has P different ones. Each shows K of their pictures, drawn anew
    without repetition; who has fewer than K repeats all of them equally often, give or take one. People with a single
    picture cannot give a positive pair: they are left out and counted.

    The batches are a function of the labels, P, K, the seed and the epoch, and of nothing else. With `world` processes
    each gets P / world people of the same global batch: side by side, in the order of the ranks, they are the batch
    that one process would get. So a run can be resumed on another number of processes, too.

    persons: int64 or text (N,), the person of each picture. Batches hold places in it.
    people, pictures: P and K.
    """

    def __init__(
        self,
        persons: npt.ArrayLike,
        people: int,
        pictures: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        labels = np.asarray(persons)
        if pictures < 2:
            raise SamplerError(f"{pictures} pictures a person make no pair of one person: give at least 2")
        if people < 2 * world or people % world:
            raise SamplerError(
                f"{people} people a batch cannot be shared by {world} process{'es' * (world > 1)}: give a multiple of "
                f"{world} that leaves each at least 2, such as {max(2, round(people / world)) * world}"
            )
        if not 0 <= rank < world:
            raise SamplerError(f"rank is {rank}, but {world} processes have the ranks 0 to {world - 1}")
        everyone, label_of = np.unique(labels, return_inverse=True)
        places = np.split(np.argsort(label_of, kind="stable"), np.cumsum(np.bincount(label_of))[:-1])
        self._places: list[NDArray[np.int64]] = [own for own in places if len(own) > 1]
        if len(self._places) < people:
            raise SamplerError(
                f"a batch takes {people} people with at least two pictures each, and {len(self._places)} of the "
                f"{len(everyone) if len(labels) else 0} have as many: take fewer people a batch, or more data"
            )
        self.people, self.pictures, self.seed, self.rank, self.world = people, pictures, seed, rank, world
        self.skipped_people = len(everyone) - len(self._places)
        """How many people are left out because there is one picture of them."""
        self.epoch = 0
        """The epoch of the next batch."""
        self._next = 0
        self._planned: tuple[int, NDArray[np.int64]] | None = None
        self._labels_digest = hashlib.sha256(label_of.astype("<i8").tobytes()).hexdigest()

    def __len__(self) -> int:
        """Batches in a whole epoch."""
        return -(-len(self._places) // self.people)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        """What is left of the current epoch, as places int64 (P / world · K,), the K of a person side by side.

        When it ends the next epoch begins. The state moves on as a batch is handed out, so a state that is saved after
        a step goes on with the next one.
        """
        while self._next < len(self):
            batch = self.batch(self.epoch, self._next)
            self._next += 1
            yield batch
        self.epoch, self._next = self.epoch + 1, 0

    def batch(self, epoch: int, number: int) -> NDArray[np.int64]:
        """This rank's part of one batch of one epoch; changes nothing."""
        if self._planned is None or self._planned[0] != epoch:
            self._planned = (epoch, self._plan(epoch))
        share = self.people // self.world
        return self._planned[1][number, self.rank * share : (self.rank + 1) * share].reshape(-1)

    def state_dict(self) -> dict[str, Any]:
        """Where the sampler stands, in plain values."""
        return {
            "epoch": self.epoch,
            "next": self._next,
            "seed": self.seed,
            "people": self.people,
            "pictures": self.pictures,
            "labels": self._labels_digest,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the other sampler stood. It must have had the same labels, P, K and seed; ranks may differ."""
        own = self.state_dict()
        for key in ("labels", "people", "pictures", "seed"):
            if state[key] != own[key]:
                what = "the pictures or their people" if key == "labels" else f"{key} ({state[key]}, now {own[key]})"
                raise SamplerError(
                    f"the saved state is of other batches: {what} changed since; resume with the same data and "
                    "settings, or start a new run"
                )
        self.epoch, self._next = int(state["epoch"]), int(state["next"])

    def _plan(self, epoch: int) -> NDArray[np.int64]:
        """Places int64 (batches, P, K)."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self._places))
        order = np.resize(order, len(self) * self.people)  # goes on from the beginning
        drawn = np.stack([_draw(self._places[person], self.pictures, rng) for person in order])
        return drawn.reshape(len(self), self.people, self.pictures)


def _draw(places: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`count` of the places; all equally often, give or take one."""
    rounds = [rng.permutation(places) for _ in range(-(-count // len(places)))]
    return np.concatenate(rounds)[:count]
