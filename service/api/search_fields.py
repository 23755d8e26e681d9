"""What a search may say: in JSON beside or around the picture, and in query parameters."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from service.api.fields import Base64, Body, Flag, Instant, Label, Milliseconds, UpToThousand
from service.api.filter_fields import FilterBody, FilterQuery
from service.api.problems import invalid
from service.gallery import EVERYTHING, Probe, RerankMode, Search
from service.gallery.searching import LARGEST_K, MOST_CROPS, GroupBy

Include = Literal["metadata", "embedding"]
Vector = Annotated[tuple[float, ...], Field(min_length=1, max_length=16384)]
PROBES = ("image_b64", "images_b64", "embedding", "item_id")


class SearchParameters(Body):
    """How to search, whatever is searched for."""

    top_k: int = Field(default=10, ge=1, le=LARGEST_K, description="How many results are wanted.")
    min_score: float | None = Field(
        default=None, ge=-1, le=1, description="Leaves out results of a lower score (cosine)."
    )
    filter: FilterBody | None = Field(default=None, description="No result lies outside of it.")
    exclude_same_camera_within_s: float | None = Field(
        default=None,
        ge=0,
        description="Leaves out what the probe's own camera saw less than so many seconds away. Needs probe_camera_id "
        "and probe_captured_at, unless the probe is an item.",
    )
    group_by: GroupBy = Field(default="none", description="Of each of these at most max_per_group results.")
    max_per_group: int = Field(default=1, ge=1, le=LARGEST_K)
    rerank: RerankMode | None = Field(default=None, description="Left out: as the gallery is set.")
    exact: bool = Field(default=False, description="Search every vector, also where an approximate index is faster.")
    explain: bool = Field(default=False, description="Say for each result which neighbours speak for it.")
    include: Annotated[tuple[Include, ...], Field(max_length=2)] = Field(
        default=("metadata",), description="What results hold."
    )
    deadline_ms: int | None = Field(default=None, description="After so long the answer is of no use any more: 504.")
    probe_camera_id: Label | None = Field(default=None, description="Which camera saw the probe.")
    probe_captured_at: Instant | None = Field(default=None, description="When the probe was captured.")
    model_sha256: str | None = Field(
        default=None,
        pattern="^[0-9a-f]{64}$",
        description="Of the model that an embedding is of; refused if it is another.",
    )

    def search(self, probe: Probe) -> Search:
        return Search(
            probe=probe,
            k=self.top_k,
            filter=EVERYTHING if self.filter is None else self.filter.filter(),
            exclude_same_camera_within_s=self.exclude_same_camera_within_s,
            rerank=self.rerank,
            exact=self.exact,
            group_by=self.group_by,
            max_per_group=self.max_per_group,
            min_score=self.min_score,
            explain=self.explain,
            include_vectors="embedding" in self.include,
        )


class SearchBody(SearchParameters):
    """A search in JSON: exactly one of image_b64, images_b64, embedding and item_id, and how to search."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": [name]} for name in PROBES],
            "examples": [{"item_id": "cam1/0007.jpg", "top_k": 5}],
        }
    )

    image_b64: Base64 = Field(b"", description="A crop of a person.")
    images_b64: Annotated[tuple[Base64, ...], Field(max_length=MOST_CROPS)] = Field(
        default=(), description="Crops of one tracklet, fused into one probe."
    )
    embedding: Vector = Field(default=(), description="A vector of the gallery's model, of unit length.")
    item_id: Label | None = Field(default=None, description="An item of the gallery; it is not among its own results.")

    @model_validator(mode="after")
    def _one_probe(self) -> Self:
        given = [name for name in PROBES if name in self.model_fields_set]
        if len(given) != 1:
            named = f"{' and '.join(given)} are given" if given else "none is given"
            raise ValueError(f"give exactly one of {', '.join(PROBES)}: {named}")
        return self

    @property
    def images(self) -> tuple[bytes, ...]:
        return self.images_b64 if "images_b64" in self.model_fields_set else (self.image_b64,)


class SearchQuery(FilterQuery):
    """How to search, in an address: with a raw picture, a form, or JSON that does not say the same."""

    top_k: UpToThousand | None = Field(default=None, description="How many results are wanted; 10.")
    min_score: float | None = Field(default=None, ge=-1, le=1, allow_inf_nan=False)
    exclude_same_camera_within_s: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    group_by: GroupBy | None = None
    max_per_group: UpToThousand | None = None
    rerank: RerankMode | None = None
    exact: Flag | None = None
    explain: Flag | None = None
    include: list[Include] = Field(default=[], max_length=2)
    deadline_ms: Milliseconds | None = None
    probe_camera_id: Label | None = None
    probe_captured_at: Instant | None = None

    def over(self, parameters: SearchParameters) -> dict[str, Any]:
        """What is to be changed in the parameters; a name that says something in both is refused."""
        said: dict[str, Any] = {
            name: value
            for name in SearchParameters.model_fields
            if (value := getattr(self, name, None)) not in (None, [])
        }
        if "include" in said:
            said["include"] = tuple(self.include)
        if (filter := self.body()) is not None:
            said["filter"] = filter
        twice = sorted(said.keys() & parameters.model_fields_set)
        if twice:
            raise invalid([(f"query {name}", "this stands in the body too: say it once") for name in twice])
        return said
