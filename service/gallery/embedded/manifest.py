"""What a snapshot says of itself, in a file that is written last."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models import write_durably
from service.gallery.embedded.syncing import full_disk_told
from service.gallery.errors import CorruptError
from service.gallery.reports import SnapshotInfo
from service.gallery.settings import GallerySettings

MANIFEST = "manifest.json"


class Manifest(BaseModel):
    """identity, lineage: of the gallery and the database it was taken of. database: the name of the file, which a
    scrub replaces by another. crops: kept pictures that the database names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    gallery: str
    identity: str
    lineage: str
    at: datetime
    change: int
    count: int
    settings: GallerySettings
    database: str = Field(pattern=r"^gallery(-[0-9a-f]{8})?\.sqlite$")
    database_bytes: int
    database_sha256: str
    crops: int
    crop_bytes: int

    def info(self, snapshot: Path) -> SnapshotInfo:
        return SnapshotInfo(
            name=snapshot.name,
            gallery=self.gallery,
            path=snapshot,
            at=self.at,
            change=self.change,
            count=self.count,
            bytes=self.database_bytes + self.crop_bytes,
        )


def write(snapshot: Path, manifest: Manifest) -> None:
    content = manifest.model_dump(mode="json")
    text = json.dumps({"manifest": content, "sha256": _sha256(content)}, indent=1)
    with full_disk_told(snapshot):
        write_durably(snapshot / MANIFEST, text.encode())


def read(snapshot: Path) -> Manifest:
    """The manifest of a snapshot; CorruptError where it is not what was written."""
    path = snapshot / MANIFEST
    remedy = "this snapshot cannot be used: restore another one"
    try:
        whole = json.loads(path.read_bytes())
        if not isinstance(whole, dict) or _sha256(whole.get("manifest")) != whole.get("sha256"):
            raise CorruptError(f"{path} is not what was written: {remedy}")
        return Manifest.model_validate_json(json.dumps(whole["manifest"]))
    except (OSError, ValidationError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CorruptError(f"{path} cannot be read ({str(error).splitlines()[0]}): {remedy}") from error


def _sha256(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
