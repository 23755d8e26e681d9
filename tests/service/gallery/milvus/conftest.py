"""Galleries on a Milvus server, and servers that are killed."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("pymilvus") is None:  # an extra
    collect_ignore_glob = ["test_*.py"]
else:
    from service.gallery.milvus import MilvusEngine

URI, SERVER = (os.environ.get(f"VANTAGE_TEST_MILVUS_{name}") for name in ("URI", "SERVER"))
WITHOUT = "needs a Milvus server: make test-milvus starts one"
OpenMilvus = Callable[..., "MilvusEngine"]


@pytest.fixture
def open_milvus(tmp_path: Path) -> Iterator[OpenMilvus]:
    """Opens an engine, as another process would that shares everything with those opened before."""
    if URI is None:
        pytest.skip(WITHOUT)
    opened: list[MilvusEngine] = []

    def open_another(uri: str = URI, where: str = "shared", **how: Any) -> MilvusEngine:
        path = tmp_path / where
        engine = MilvusEngine.open(
            uri,
            database_url=f"sqlite:///{path / 'vantage.sqlite'}",
            crops_directory=path / "crops",
            snapshots_directory=path / "snapshots",
            **({"deadline": 60.0} | how),
        )
        opened.append(engine)
        return engine

    yield open_another
    for engine in opened:
        engine.close()
    if (tmp_path / "shared").exists():
        with open_another() as left:
            for name in left.galleries():
                left.drop(name)


@pytest.fixture
def milvus(open_milvus: OpenMilvus) -> MilvusEngine:
    return open_milvus()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server of the module's own, to be killed and started again."""
    if SERVER is None:
        pytest.skip(WITHOUT)
    path = Path(__file__).parents[3] / "with_milvus.py"
    spec = importlib.util.spec_from_file_location("with_milvus", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["with_milvus"] = module
    spec.loader.exec_module(module)
    process = module.MilvusProcess(SERVER, tmp_path_factory.mktemp("milvus"))
    yield process.start()
    process.stop()
