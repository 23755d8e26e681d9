"""Many items on their way into a gallery: parsed, embedded and committed in batches, with a result a line."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

from models import Crops
from service.api.access import Caller
from service.api.bodies import parse
from service.api.item_fields import ItemRow
from service.api.lines import Line
from service.api.probing import decode_each, given_vector
from service.api.problems import Problem, as_problem
from service.embedding import Decoded, Embedded, QueueFullError
from service.gallery import GalleryError, GallerySettings, NewItem, OnConflict, require_model
from service.images import BadImageError
from service.stripping import without_metadata

_ROWS = 64
_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    number: int
    row: ItemRow


class Bulk:
    """rows: what became of each line so far, as JSON values, in the order of the lines once it is flushed."""

    def __init__(self, caller: Caller, gallery: str, settings: GallerySettings, on_conflict: OnConflict) -> None:
        self._caller = caller
        self._gallery = gallery
        self._settings = settings
        self._on_conflict: OnConflict = on_conflict
        self._waiting: list[_Waiting] = []
        self._bytes = 0
        self._rows: dict[int, dict[str, Any]] = {}

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [self._rows[number] for number in sorted(self._rows)]

    def counts(self) -> dict[str, int]:
        return dict(Counter(str(row["outcome"]) for row in self._rows.values()))

    async def take(self, line: Line) -> None:
        """Takes a line in, and commits what waits when that is enough."""
        if line.content is None:
            self._fail(line.number, None, Problem("body-too-large", "the line is too long: at most as a body may be"))
            return
        try:
            row = parse(ItemRow, line.content, f"line {line.number}")
        except Problem as problem:
            self._fail(line.number, None, problem)
            return
        self._waiting.append(_Waiting(line.number, row))
        self._bytes += len(line.content)
        if len(self._waiting) >= _ROWS or self._bytes >= _BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Embeds and commits what waits."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        made = await self._with_vectors(waiting)
        if made:
            await self._commit(made)

    async def _with_vectors(self, waiting: list[_Waiting]) -> list[tuple[int, NewItem]]:
        made: list[tuple[int, NewItem]] = []
        pictured: list[_Waiting] = []
        for one in waiting:
            if "embedding" not in one.row.model_fields_set:
                pictured.append(one)
                continue
            try:
                vector = given_vector(self._gallery, self._settings, one.row.embedding, one.row.model_sha256)
                made.append((one.number, one.row.item(one.row.id, vector, None, None)))
            except (Problem, GalleryError) as error:
                self._fail(one.number, one.row.id, error)
        if pictured:
            made += await self._embedded(pictured)
        return sorted(made, key=lambda pair: pair[0])

    async def _embedded(self, pictured: list[_Waiting]) -> list[tuple[int, NewItem]]:
        running = self._caller.running
        served = running.holder.current
        require_model(self._gallery, self._settings, served.name, served.sha256)
        pictures = [one.row.image_b64 for one in pictured]
        good: list[tuple[_Waiting, Decoded]] = []
        for one, decoded in zip(pictured, await self._decoded(pictures), strict=True):
            if isinstance(decoded, BadImageError):
                self._fail(one.number, one.row.id, decoded)
            else:
                good.append((one, decoded))
        made = []
        size = max(1, min(self._caller.service.settings.max_batch, self._caller.service.settings.max_waiting))
        for start in range(0, len(good), size):
            part = good[start : start + size]
            for _, decoded in part:  # another model may have been loaded meanwhile
                require_model(self._gallery, self._settings, decoded.model.name, decoded.model.sha256)
            embedded = await self._patiently(Crops.stack([decoded.crop for _, decoded in part]), part[0][1])
            kept = await asyncio.to_thread(_stripped, [one.row.image_b64 for one, _ in part])
            for place, (one, _) in enumerate(part):
                told = None if embedded.viewpoints is None else embedded.viewpoints[place]
                viewpoint = None if told is None else (float(told[0]), float(told[1]), float(told[2]))
                try:
                    item = one.row.item(one.row.id, embedded.vectors[place], viewpoint, kept[place])
                except GalleryError as error:
                    self._fail(one.number, one.row.id, error)
                else:
                    made.append((one.number, item))
        return made

    async def _decoded(self, pictures: list[bytes]) -> list[Decoded | BadImageError]:
        while True:
            try:
                return await decode_each(self._caller, pictures, None)
            except QueueFullError as error:
                await asyncio.sleep(min(1.0, error.retry_after))

    async def _patiently(self, crops: Crops, first: Decoded) -> Embedded:
        """Many rows are in no hurry: they wait where somebody who searches would be told to come again."""
        while True:
            try:
                return await self._caller.running.queue.embed(crops, None, model=first.model)
            except QueueFullError as error:
                await asyncio.sleep(min(1.0, max(0.01, error.retry_after)))

    async def _commit(self, made: list[tuple[int, NewItem]]) -> None:
        running, items = self._caller.running, [item for _, item in made]

        def work() -> list[str]:
            outcomes = [
                str(result.outcome)
                for result in running.engine.add(self._gallery, items, on_conflict=self._on_conflict)
            ]
            ids = [
                item.id for item, outcome in zip(items, outcomes, strict=True) if outcome not in ("refused", "denied")
            ]
            running.recorder.written(self._caller, "put", self._gallery, {"bulk": True}, ids)
            return outcomes

        for (number, item), outcome in zip(made, await running.writes.run(work), strict=True):
            self._rows[number] = {"line": number, "id": item.id, "outcome": outcome, "problem": None}

    def _fail(self, number: int, id: str | None, error: Exception) -> None:
        self._rows[number] = {"line": number, "id": id, "outcome": "failed", "problem": as_problem(error).members()}


def _stripped(pictures: list[bytes]) -> list[bytes]:
    return [without_metadata(picture) for picture in pictures]
