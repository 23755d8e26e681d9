"""Datasets, samplers and the synthetic people that stand in for real footage.

>>> from training.data import load_dataset
>>> dataset = load_dataset("synthetic:people=4,cameras=2")
>>> len(dataset.train.people), dataset.train.cameras[:2].tolist()
(2, ['c1', 'c1'])

`training.data.augmentation` is imported by its own name: it brings torch, which looking at data does without.
"""

from training.data.cache import CropCache, SkippedPicture, open_cache
from training.data.check import DataReport, Evaluation, SplitFacts, check_dataset
from training.data.dataset import VIEWPOINTS, Dataset, Picture, Rendering, Split, Viewpoint
from training.data.errors import CacheError, DataError, PictureError, SamplerError, ViewpointError
from training.data.identity_split import hold_out, query_and_gallery
from training.data.preview import preview
from training.data.reading import open_picture, read_crop
from training.data.reading_ahead import read_crops
from training.data.sampler import IdentitySampler
from training.data.spec import FORMATS, load_dataset, parse_spec
from training.data.viewpoints import ViewpointFile, attach_viewpoints, read_viewpoints

__all__ = [
    "FORMATS",
    "VIEWPOINTS",
    "CacheError",
    "CropCache",
    "DataError",
    "DataReport",
    "Dataset",
    "Evaluation",
    "IdentitySampler",
    "Picture",
    "PictureError",
    "Rendering",
    "SamplerError",
    "SkippedPicture",
    "Split",
    "SplitFacts",
    "Viewpoint",
    "ViewpointError",
    "ViewpointFile",
    "attach_viewpoints",
    "check_dataset",
    "hold_out",
    "load_dataset",
    "open_cache",
    "open_picture",
    "parse_spec",
    "preview",
    "query_and_gallery",
    "read_crop",
    "read_crops",
    "read_viewpoints",
]
