import subprocess
import sys

import models


def test_the_public_names_are_these() -> None:
    assert models.__all__ == [
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
    assert all(hasattr(models, name) for name in models.__all__)


def test_importing_models_brings_neither_onnxruntime_nor_anything_of_training() -> None:
    program = "import sys, models; print(sorted({'onnxruntime', 'torch', 'onnx', 'scipy'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
