"""What can go wrong with a gallery, as sentences that name the value and the remedy."""


class GalleryError(ValueError):
    """Any of these; a `ValueError`, so that code which knows nothing of galleries still meets a familiar kind."""


class BadItemError(GalleryError):
    """An item, a filter or a request that cannot be right, whatever the gallery holds."""


class NoSuchGalleryError(GalleryError):
    """No gallery of that name."""


class NoSuchItemError(GalleryError):
    """No item of that id, or it has expired."""


class NoSuchSnapshotError(GalleryError):
    """No snapshot of that name."""


class ExistsError(GalleryError):
    """Something of that name is there already, and replacing it was not asked for."""


class ModelMismatchError(GalleryError):
    """Vectors of another model than the gallery's: they cannot be compared."""


class LockedError(GalleryError):
    """Another process writes to this data directory."""


class CorruptError(GalleryError):
    """The truth itself is damaged: what was derived from it cannot help, only a snapshot can."""


class StorageFullError(GalleryError):
    """The disk, or its quota, is full. Nothing of what was asked for was done; what was there before is intact."""


class UnavailableError(GalleryError):
    """The engine is closed, or cannot be reached: nothing was done."""
