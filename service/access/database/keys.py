"""Keys in a database: made, revoked and used by any number of replicas."""

from __future__ import annotations

import threading
from datetime import datetime

from sqlalchemy import bindparam, func, insert, or_, select, update

from service.access.database.connecting import Database
from service.access.database.tables import KEY_CHANGES, KEYS
from service.access.errors import KeyStoreError
from service.access.key import Key
from service.access.key_rows import COLUMNS, key_of, row_of

_TOLD = (KeyStoreError, "the keys", "nobody is let in meanwhile, and none was made or revoked")
_COUNTED = update(KEY_CHANGES).values(count=KEY_CHANGES.c.count + 1)
_USED = (
    update(KEYS)
    .where(KEYS.c.id == bindparam("used"), or_(KEYS.c.last_used.is_(None), KEYS.c.last_used < bindparam("at")))
    .values(last_used=bindparam("at"))
)


class DatabaseKeys:
    """Where a `KeyStore` keeps its keys when replicas share them. The database is closed by whoever opened it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._used: dict[str, datetime] = {}
        self._noting = threading.Lock()

    def version(self) -> object:
        """Writes down which keys were used since, too: that asks the database, and so does this."""
        with self._noting:
            used, self._used = self._used, {}
        with self._database.told(*_TOLD):
            if used:
                with self._database.writing(durable=False) as connection:
                    connection.execute(_USED, [{"used": id, "at": at.isoformat()} for id, at in sorted(used.items())])
            with self._database.reading() as connection:
                return connection.scalar(select(KEY_CHANGES.c.count))

    def read(self) -> list[tuple[Key, bytes]]:
        columns = [KEYS.c[name] for name in COLUMNS]
        with self._database.told(*_TOLD), self._database.reading() as connection:
            rows = connection.execute(select(*columns).order_by(KEYS.c.created_at, KEYS.c.id)).all()
        return [key_of(row) for row in rows]

    def insert(self, key: Key, sha256: bytes) -> None:
        with self._database.told(*_TOLD), self._database.writing() as connection:
            connection.execute(insert(KEYS).values(dict(zip(COLUMNS, row_of(key, sha256), strict=True))))
            connection.execute(_COUNTED)

    def revoke(self, id: str, at: datetime) -> bool:
        revoked = update(KEYS).where(KEYS.c.id == id)
        with self._database.told(*_TOLD), self._database.writing() as connection:
            found = connection.execute(revoked.values(revoked_at=func.coalesce(KEYS.c.revoked_at, at.isoformat())))
            connection.execute(_COUNTED)
        return found.rowcount == 1

    def note_use(self, id: str, at: datetime) -> None:
        with self._noting:
            self._used[id] = at

    def close(self) -> None:
        """Nothing is open between two calls."""
