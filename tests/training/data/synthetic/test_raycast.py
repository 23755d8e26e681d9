import numpy as np
import pytest

from training.data.synthetic.raycast import View, cast, looking_at
from training.data.synthetic.shapes import ShapeList

STEPS = 6000
NEAR, FAR = 3.0, 7.0


@pytest.fixture
def view():
    right, up, forward = looking_at((0.3, 1.4, 0.0), (0.0, 1.0, 5.0), 0.1)
    eye = np.array([0.3, 1.4, 0.0])
    return View(eye, right, up, forward, np.linspace(-0.2, 0.2, 24), np.linspace(0.25, -0.25, 32))


def marched(shapes, view):
    """Which solid each pixel enters first, by walking along every ray in small steps."""
    reach = np.linspace(NEAR, FAR, STEPS)
    seen = np.full((len(view.v), len(view.u)), -1)
    for row, v in enumerate(view.v):
        for column, u in enumerate(view.u):
            points = view.eye + reach[:, None] * (view.forward + u * view.right + v * view.up)
            first = np.inf
            for index in range(len(shapes)):
                axes = shapes.axes[index]
                local = np.stack([(points - shapes.centre[index]) @ a / (a @ a) for a in axes], axis=1)
                if shapes.box[index]:
                    outside = np.abs(local).max(axis=1) - 1
                else:
                    bend, slope, constant = shapes.quadric[index]
                    x, y, z = local.T
                    outside = x * x + z * z + bend * y * y + slope * y + constant
                low, high = shapes.clip[index]
                crossing = np.signbit(outside[1:]) != np.signbit(outside[:-1])
                entering = crossing & (outside[1:] < 0)
                counted = crossing if shapes.open[index] else entering
                counted &= (local[1:, 1] >= low - 1e-3) & (local[1:, 1] <= high + 1e-3)
                if counted.any() and reach[1:][counted][0] < first:
                    first, seen[row, column] = reach[1:][counted][0], index
    return seen


def a_few_solids():
    shapes = ShapeList()
    shapes.ellipsoid((0.3, 1.3, 5.0), (0.3, 0.2, 0.25), 0, pitch=0.3, yaw=0.5)
    shapes.tube((-0.4, 1.6, 4.8), (-0.2, 0.7, 5.2), 0.12, 0.25, 1, flat=0.7)
    shapes.block((0.2, 0.6, 5.3), (0.2, 0.15, 0.3), 2, yaw=0.7, pitch=-0.2)
    shapes.ellipsoid((-0.1, 1.9, 5.0), (0.3, 0.3, 0.3), 3, clip=(0.1, 1.0))
    shapes.tube((-0.7, 1.8, 4.6), (-0.7, 1.2, 4.6), 0.1, 0.25, 4, opened=True)
    shapes.ellipsoid((0.0, 1.0, 6.2), (0.5, 0.4, 0.3), 5)  # behind most of the others
    return shapes.stacked()


def test_the_rays_hit_what_walking_along_them_in_small_steps_hits(view):
    shapes = a_few_solids()
    expected = marched(shapes, view)
    hits = cast(shapes, view)
    seen = np.full(expected.shape, -1)
    seen.ravel()[hits.pixel] = hits.shape
    assert set(np.unique(expected)) == {-1, 0, 1, 2, 3, 4, 5}
    assert (seen != expected).sum() <= 4  # rays that graze


def test_hit_points_lie_on_their_solids_and_normals_point_to_the_eye(view):
    shapes = a_few_solids()
    hits = cast(shapes, view)
    points = shapes.centre[hits.shape] + (hits.local.T[:, :, None] * shapes.axes[hits.shape]).sum(axis=1)
    for index in range(len(shapes)):
        x, y, z = hits.local[:, hits.shape == index].astype(np.float64)
        if shapes.box[index]:
            assert np.abs([x, y, z]).max(axis=0) == pytest.approx(1, abs=1e-4)
        else:
            bend, slope, constant = shapes.quadric[index]
            assert x * x + z * z + bend * y * y + slope * y + constant == pytest.approx(0, abs=1e-4)
    assert np.linalg.norm(hits.normal, axis=0) == pytest.approx(1, abs=1e-4)
    toward = view.eye - points
    toward /= np.linalg.norm(toward, axis=1, keepdims=True)
    assert (hits.normal.T * toward).sum(axis=1) == pytest.approx(hits.facing, abs=1e-4)
    assert hits.facing.min() >= 0


def test_a_sphere_s_normal_is_its_radius(view):
    shapes = ShapeList()
    shapes.ellipsoid((0.1, 1.0, 5.0), (0.5, 0.5, 0.5), 0)
    hits = cast(shapes.stacked(), view)
    assert len(hits.pixel) > 50
    assert hits.normal == pytest.approx(hits.local, abs=1e-4)


def test_the_normal_of_a_quadric_is_the_gradient_of_its_equation(view):
    shapes = a_few_solids()
    hits = cast(shapes, view)

    def height_above(points, index):
        x, y, z = (((points - shapes.centre[index]) @ axis) / (axis @ axis) for axis in shapes.axes[index])
        bend, slope, constant = shapes.quadric[index]
        return x * x + z * z + bend * y * y + slope * y + constant

    for index in (0, 1, 5):  # those of whose inside nothing is seen
        mine = hits.shape == index
        points = shapes.centre[index] + hits.local[:, mine].T @ shapes.axes[index]
        steps = 1e-4 * np.eye(3)
        gradient = np.stack([height_above(points + s, index) - height_above(points - s, index) for s in steps])
        gradient /= np.linalg.norm(gradient, axis=0)
        assert mine.sum() > 10
        assert hits.normal[:, mine] == pytest.approx(gradient, abs=1e-3)


def test_what_stands_behind_the_eye_is_not_seen(view):
    shapes = ShapeList()
    shapes.ellipsoid((0.0, 1.0, -5.0), (2.0, 2.0, 2.0), 0)
    assert len(cast(shapes.stacked(), view).pixel) == 0


def test_standing_somewhere_else_turned_moves_the_front_with_the_body():
    shapes = ShapeList()
    shapes.ellipsoid((0.0, 1.0, 0.5), (0.1, 0.1, 0.1), 0)
    moved = shapes.stacked().placed(2.0, 6.0, np.pi / 2)
    assert moved.centre[0] == pytest.approx([2.5, 1.0, 6.0])
