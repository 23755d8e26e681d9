"""Conversations with a Milvus server: with a deadline each, up to the last write, and with its errors as ours."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc
import numpy as np
import numpy.typing as npt
from pymilvus import MilvusClient, MilvusException
from pymilvus.client.connection_manager import ConnectionConfig
from pymilvus.exceptions import ConnectionConfigException

from service.gallery.errors import BadItemError, StorageFullError, UnavailableError

Entity = Mapping[str, Any]
Result = TypeVar("Result")
MOST_ROWS = 16_384  # what Milvus gives at most in answer to one question
DEADLINE = 5.0  # seconds for a question, retries within included
WRITING = 15.0  # ... for a write, of which there may be megabytes
SETTING_UP = 60.0  # ... and for making, loading or dropping a collection
PAUSE = 1.0  # seconds after a failure to reach the server in which it is not tried again
GONE_CODES = (100, 4)  # collection not found: of 2.3 and later, and of the older numbering
FULL = ("disk quota exhausted", "memory quota exhausted", "no space left", "quota exceeded")
# After a failure gRPC by itself tries again only after up to two minutes, in which a server may long be back.
CHANNEL = {
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.min_reconnect_backoff_ms": 200,
    "grpc.max_reconnect_backoff_ms": 1_000,
    "grpc.use_local_subchannel_pool": 1,
}

# Every failure comes back as an exception, which is told; its own log would tell each a second time, with a traceback.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)


class CollectionGoneError(Exception):
    """The collection was dropped: its gallery is no more, or another has taken its name."""


class Server:
    """A connection is made when one is first needed, and again by itself after the server was away.

    Any number of threads may ask at once. `after` is the time, in Milvus's own count, of a write that has to be seen.
    """

    def __init__(self, uri: str, token: str = "", *, deadline: float = DEADLINE) -> None:
        try:
            self._address = ConnectionConfig.from_uri(uri, token=token).address
        except ConnectionConfigException as error:
            raise BadItemError(
                f"{uri!r} is no address of a Milvus server ({error.message}): give http://HOST:19530"
            ) from error
        self.uri, self._token, self._deadline = uri, token, deadline
        self._connecting = threading.Lock()
        self._client: MilvusClient | None = None
        self._not_before = 0.0

    # ---- reading -----------------------------------------------------------------------------------------------------

    def query(
        self, collection: str, expression: str, fields: Sequence[str], after: int, limit: int = MOST_ROWS
    ) -> list[Entity]:
        """Those of the entities that meet an expression, in no order; at most `limit` of them."""
        with self._told():
            return list(
                self._there().query(
                    collection,
                    filter=expression,
                    output_fields=list(fields),
                    limit=limit,
                    timeout=self._deadline,
                    **_seen(after),
                )
            )

    def count(self, collection: str, expression: str, after: int) -> int:
        with self._told():
            (row,) = self._there().query(
                collection,
                filter=expression,
                output_fields=["count(*)"],
                timeout=self._deadline,
                **_seen(after),
            )
            return int(row["count(*)"])

    def search(
        self,
        collection: str,
        vector: npt.NDArray[np.float32],
        expression: str,
        fields: Sequence[str],
        parameters: Mapping[str, object],
        after: int,
        limit: int,
    ) -> list[Entity]:
        """The `limit` nearest to a vector, float32 (D,), of those that meet an expression, nearest first."""
        with self._told():
            (hits,) = self._there().search(
                collection,
                data=[vector],
                filter=expression,
                limit=limit,
                output_fields=list(fields),
                search_params={"metric_type": "COSINE", "params": dict(parameters)},
                anns_field="vector",
                timeout=self._deadline,
                **_seen(after),
            )
            return [hit["entity"] for hit in hits]

    # ---- writing -----------------------------------------------------------------------------------------------------

    def upsert(self, collection: str, entities: Sequence[Entity]) -> int:
        """Puts entities in place of those of the same ids, all at one instant; returns a time after that."""
        with self._told():
            client = self._there()
            client.upsert(collection, data=list(entities), timeout=WRITING)
            return self._time_after(client)

    def delete(self, collection: str, expression: str) -> int:
        """Deletes what meets an expression; returns a time after that."""
        with self._told():
            client = self._there()
            client.delete(collection, filter=expression, timeout=WRITING)
            return self._time_after(client)

    def time(self) -> int:
        """What time it is, as Milvus counts."""
        with self._told():
            return self._time_after(self._there())

    def _time_after(self, client: MilvusClient) -> int:
        # Asked for by a way that is not public: a deletion does not say when it was, and clocks of our own may be off.
        return int(client._get_connection().alloc_timestamp(timeout=self._deadline))

    # ---- collections -------------------------------------------------------------------------------------------------

    def change(self, work: Callable[[MilvusClient], Result]) -> Result:
        """Whatever concerns a whole collection."""
        with self._told():
            return work(self._there())

    def reachable(self) -> None:
        """UnavailableError unless the server answers."""
        with self._told():
            self._there().list_collections(timeout=self._deadline)

    def close(self) -> None:
        with self._connecting:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    # ---- within ------------------------------------------------------------------------------------------------------

    def _there(self) -> MilvusClient:
        client = self._client
        self._not_in_vain()
        if client is None:
            with self._connecting:
                self._not_in_vain()  # somebody else may have tried it while this one waited
                if self._client is None:
                    self._client = MilvusClient(
                        uri=self.uri,
                        token=self._token,
                        timeout=self._deadline,
                        dedicated=True,
                        grpc_options=CHANNEL,
                    )
                client = self._client
        return client

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns the errors of Milvus and of the network into ours."""
        try:
            yield
        except grpc.RpcError as error:
            raise self._away(str(error.details() if hasattr(error, "details") else error), unreachable=False) from error
        except MilvusException as error:
            message = " ".join(str(error.message).split())
            if error.code in GONE_CODES and "collection" in message.lower():
                raise CollectionGoneError(message) from error
            if any(words in message.lower() for words in FULL):
                raise StorageFullError(
                    f"Milvus takes no more ({message}): nothing of what was asked for was done"
                ) from error
            unreachable = error.code == grpc.StatusCode.UNAVAILABLE or "connecting to server" in message
            raise self._away(message, unreachable=unreachable) from error

    def _not_in_vain(self) -> None:
        if time.monotonic() < self._not_before:
            raise UnavailableError(
                f"the Milvus server at {self._address} cannot be reached: nothing was done; ask again"
            )

    def _away(self, problem: str, *, unreachable: bool) -> UnavailableError:
        """unreachable: nobody else need try for a moment, each for the whole of the deadline."""
        if unreachable:
            self._not_before = time.monotonic() + PAUSE
        return UnavailableError(
            f"the Milvus server at {self._address} does not do it now ({problem[:300]}): ask again; a write may have "
            "been done, or not, and can be repeated"
        )


def _seen(after: int) -> dict[str, object]:
    """Waits until the server has taken up the write of that time; 1 waits for nothing."""
    return {"consistency_level": "Customized", "guarantee_timestamp": max(after, 1)}
