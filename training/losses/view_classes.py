"""Which id x view classes the viewpoint head has, and whose they are."""

import torch
from torch import Tensor, nn

from training.losses.errors import LossError

NUM_VIEWS = 3
"""Front, side, back."""

UNKNOWN_VIEW = -1
"""The label of an image whose viewpoint nobody annotated."""


def checked_labels(persons: Tensor, views: Tensor) -> int:
    """The highest person label, once all are known to be labels: persons and views, both int64 (N,), N > 0."""
    extremes = (persons.min(), persons.max(), views.min(), views.max())
    lowest, highest, first_view, last_view = (int(label) for label in torch.stack(extremes).tolist())
    if lowest < 0:
        raise LossError(f"person label {lowest} is negative: training labels count from 0")
    if first_view < UNKNOWN_VIEW or last_view >= NUM_VIEWS:
        wrong = first_view if first_view < UNKNOWN_VIEW else last_view
        raise LossError(f"view label {wrong} is none of 0 front, 1 side, 2 back, {UNKNOWN_VIEW} unknown")
    return highest


class ViewClasses(nn.Module):
    """The mapping between (person, view) and the C classes of the viewpoint head, ordered by person, then view.

    Two ways to choose the classes: `every_view` makes three a person, C = 3K, as the poster writes it; `occurring`
    makes only those that the training set has (2048 of 2253 on Market-1501, 1825 of 2106 on DukeMTMC), as the runs
    behind the published numbers did. A person without any known view then has no class at all.

    The buffers follow the loss to its device and stay with its checkpoint, for a head is meaningless without them:

    class_of   (K, 3)  int64  the class of a person's view, -1 where there is none
    person_of  (C,)    int64  the person of a class
    view_of    (C,)    int64  the view of a class
    """

    class_of: Tensor
    person_of: Tensor
    view_of: Tensor

    def __init__(self, exists: Tensor) -> None:
        """exists: bool (K, 3), whether the class of a person's view exists."""
        super().__init__()
        if exists.ndim != 2 or exists.shape[1] != NUM_VIEWS or exists.dtype != torch.bool:
            raise LossError(f"exists must be bool (persons, {NUM_VIEWS}), not {exists.dtype} {tuple(exists.shape)}")
        pairs = exists.nonzero()
        if len(pairs) == 0:
            raise LossError("there is no id x view class: no training image has a known viewpoint")
        class_of = torch.full_like(exists, -1, dtype=torch.int64)
        class_of[exists] = torch.arange(len(pairs), device=exists.device)
        self.register_buffer("class_of", class_of)
        self.register_buffer("person_of", pairs[:, 0].contiguous())
        self.register_buffer("view_of", pairs[:, 1].contiguous())

    @classmethod
    def every_view(cls, num_persons: int) -> "ViewClasses":
        """Three classes a person: class 3·person + view."""
        return cls(torch.ones((num_persons, NUM_VIEWS), dtype=torch.bool))

    @classmethod
    def occurring(cls, persons: Tensor, views: Tensor) -> "ViewClasses":
        """Only the combinations in the training set, whose labels are given.

        persons: int64 (images,), from 0 without gaps; views: int64 (images,), -1 unknown.
        """
        exists = torch.zeros((checked_labels(persons, views) + 1, NUM_VIEWS), dtype=torch.bool, device=persons.device)
        known = views != UNKNOWN_VIEW
        exists[persons[known], views[known]] = True
        return cls(exists)

    @property
    def num_classes(self) -> int:
        """C, the number of columns that the viewpoint head must have."""
        return len(self.person_of)

    @property
    def num_persons(self) -> int:
        """K."""
        return len(self.class_of)

    def classes(self, persons: Tensor, views: Tensor) -> Tensor:
        """The class of each image: int64 (N,) from persons and views, both int64 (N,); -1 where the view is unknown."""
        known = views != UNKNOWN_VIEW
        inside = persons < self.num_persons
        found = self.class_of[persons.clamp(max=self.num_persons - 1), views.clamp(min=0)]
        found = torch.where(known & inside, found, -1)
        strangers = known & (found < 0)
        if bool(strangers.any()):
            person, view = int(persons[strangers][0]), int(views[strangers][0])
            raise LossError(
                f"person {person} has no class for view {view} among the {self.num_classes} id x view classes of "
                f"{self.num_persons} persons: build ViewClasses from the labels of the same training set"
            )
        return found

    def extra_repr(self) -> str:
        return f"{self.num_classes} classes of {self.num_persons} persons"
