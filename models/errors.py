"""The errors of this package. Each message is a sentence for the person who can mend it: what, which value, what to do.

ModelError (a ValueError)
├── CardError       card.json cannot be read, or says something that a card cannot say
├── BundleError     the files of a bundle do not agree with its card, or reach outside the bundle
├── ImageError      a picture cannot be turned into a crop
├── ProviderError   onnxruntime cannot run the model on the device that was asked for
└── EmbeddingError  crops do not fit the model, or the model's answer is not an embedding
"""


class ModelError(ValueError):
    """Anything that a user of this package can mend."""


class CardError(ModelError):
    """card.json cannot be read, or says something that a card cannot say."""


class BundleError(ModelError):
    """The files of a bundle do not agree with its card, or reach outside the bundle."""


class ImageError(ModelError):
    """A picture cannot be turned into a crop."""


class ProviderError(ModelError):
    """onnxruntime cannot run the model on the device that was asked for."""


class EmbeddingError(ModelError):
    """Crops do not fit the model, or the model's answer is not an embedding."""
