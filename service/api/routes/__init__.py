"""The endpoints, a file each for what belongs together."""

from service.api.item_fields import ItemBody, ItemFacts, ItemRow
from service.api.routes import (
    admin,
    embed,
    feedback,
    galleries,
    health,
    items,
    items_bulk,
    jobs,
    search,
    snapshots,
    summary,
)
from service.api.search_fields import SearchBody, SearchParameters

V1 = (search, embed, items_bulk, items, galleries, summary, feedback, snapshots, jobs, admin)
"""Under /v1. An item's id is one part of its address: its slashes are percent-encoded."""

BODIES = (
    SearchBody,
    SearchParameters,
    embed.EmbedBody,
    embed.EmbedParameters,
    ItemBody,
    ItemFacts,
    ItemRow,
    items_bulk.DeleteBody,
    galleries.GalleryBody,
    snapshots.RestoreBody,
    feedback.FeedbackBody,
    admin.ReloadBody,
)
"""What routes read by themselves, for the OpenAPI document."""

__all__ = ["BODIES", "V1", "health"]
