"""Synthetic people: small 3-D figures, ray-cast, who walk past cameras; for tests, the demo and the quick start.

>>> from training.data.synthetic import SyntheticSpec, plan, render
>>> spec = SyntheticSpec(people=4, cameras=2)
>>> crop = plan(spec)[0]
>>> crop.person, crop.camera, crop.split
('0001', 'c1', 'train')
>>> render(spec, crop).shape
(128, 64, 3)
"""

from training.data.synthetic.errors import SyntheticSpecError
from training.data.synthetic.folder import VIEWPOINTS_FILE, write_folder
from training.data.synthetic.preview import preview
from training.data.synthetic.rendering import render, render_jpeg, render_many
from training.data.synthetic.schedule import SyntheticCrop, SyntheticSpec, plan, viewpoint_of

__all__ = [
    "VIEWPOINTS_FILE",
    "SyntheticCrop",
    "SyntheticSpec",
    "SyntheticSpecError",
    "plan",
    "preview",
    "render",
    "render_jpeg",
    "render_many",
    "viewpoint_of",
    "write_folder",
]
