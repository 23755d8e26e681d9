"""What a model is: the bundle (ONNX and card), preprocessing, and the onnxruntime session that runs it.

>>> from models import Bundle, Session, to_crops
>>> bundle = Bundle.open("models/zoo/some-model")                                    # doctest: +SKIP
>>> session = Session(bundle, device="auto")                                         # doctest: +SKIP
>>> session.embed(to_crops(pictures, bundle.card.input)).vectors                     # doctest: +SKIP
"""

from models.bundle import ZOO, Bundle, list_bundles
from models.card import (
    CARD_FILE,
    MODEL_FILE,
    SCHEMA_VERSION,
    Calibration,
    Card,
    EmbeddingSpec,
    GroupScores,
    InputSpec,
    Licence,
    Outputs,
    Parity,
    Precision,
    Rerank,
    Result,
    Threshold,
    Training,
    Variant,
)
from models.check import CheckReport, check_session
from models.crops import Crops
from models.durable import write_durably
from models.embeddings import Embeddings
from models.errors import BundleError, CardError, EmbeddingError, ImageError, ModelError, ProviderError
from models.metadata import metadata_from_card
from models.preprocess import BACKGROUND, to_crop, to_crops
from models.providers import DEVICES, Device, Execution
from models.session import Session

__all__ = [
    "BACKGROUND",
    "CARD_FILE",
    "DEVICES",
    "MODEL_FILE",
    "SCHEMA_VERSION",
    "ZOO",
    "Bundle",
    "BundleError",
    "Calibration",
    "Card",
    "CardError",
    "CheckReport",
    "Crops",
    "Device",
    "EmbeddingError",
    "EmbeddingSpec",
    "Embeddings",
    "Execution",
    "GroupScores",
    "ImageError",
    "InputSpec",
    "Licence",
    "ModelError",
    "Outputs",
    "Parity",
    "Precision",
    "ProviderError",
    "Rerank",
    "Result",
    "Session",
    "Threshold",
    "Training",
    "Variant",
    "check_session",
    "list_bundles",
    "metadata_from_card",
    "to_crop",
    "to_crops",
    "write_durably",
]
