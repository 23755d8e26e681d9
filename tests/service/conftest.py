"""A PostgreSQL server of the tests' own, where its programs are installed, with databases in it; and a Ray cluster."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def _program(name: str) -> Path | None:
    found = shutil.which(name)
    there = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return Path(found) if found else (there[-1] if there else None)


class PostgreSQL:
    """It listens at a socket in its folder and at no port. It refuses to run as root, and has another user then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._programs = {name: _program(name) for name in ("initdb", "postgres", "psql")}
        self._user = self._somebody() if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def _somebody() -> str:
        for name in ("postgres", "nobody"):
            try:
                return pwd.getpwnam(name).pw_name
            except KeyError:
                continue
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")

    def make(self) -> None:
        missing = [name for name, path in self._programs.items() if path is None]
        if missing:
            pytest.skip(f"PostgreSQL is not installed here: no {', '.join(missing)}")
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        arguments = ["-D", str(self.folder / "data"), "-U", "vantage", "-A", "trust", "-E", "UTF8", "--no-sync"]
        self._run("initdb", *arguments)

    def start(self) -> None:
        """Returns when it answers."""
        log = (self.folder.parent / f"{self.folder.name}.log").open("ab")
        with log:
            # What a loss of power does to it is not ours to try.
            arguments = ["-D", str(self.folder / "data"), "-k", str(self.folder), "-h", "", "-F"]
            self._process = subprocess.Popen(
                [str(self._programs["postgres"]), *arguments], user=self._user, stdout=log, stderr=log, cwd="/"
            )
        while not self._answers():
            assert self._process.poll() is None, Path(log.name).read_text()

    def stop(self) -> None:
        """At once, as if it had been killed."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None

    def database(self) -> str:
        """The URL of what is as good as a new, empty database, and much cheaper: a schema."""
        name = f"t{uuid.uuid4().hex[:12]}"
        self._run("psql", "-h", str(self.folder), "-U", "vantage", "-d", "postgres", "-c", f"CREATE SCHEMA {name}")
        return f"postgresql://vantage@/postgres?host={self.folder}&options=-csearch_path%3D{name}"

    def _answers(self) -> bool:
        arguments = ["-h", str(self.folder), "-U", "vantage", "-d", "postgres", "-c", "SELECT 1"]
        return (
            subprocess.run([str(self._programs["psql"]), *arguments], capture_output=True, check=False).returncode == 0
        )

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs[program]), *arguments]
        done = subprocess.run(command, user=self._user, capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def make_postgresql() -> Iterator[Callable[[], PostgreSQL]]:
    """Starts a server; the path of its socket must be short."""
    made: list[PostgreSQL] = []

    def make() -> PostgreSQL:
        server = PostgreSQL(Path(tempfile.mkdtemp(prefix="vantage-pg-")))
        made.append(server)
        server.make()
        server.start()
        return server

    yield make
    for server in made:
        server.stop()
        shutil.rmtree(server.folder)
        (server.folder.parent / f"{server.folder.name}.log").unlink(missing_ok=True)


@pytest.fixture(scope="session")
def postgresql(make_postgresql: Callable[[], PostgreSQL]) -> PostgreSQL:
    """One server for all tests that leave it as it is."""
    return make_postgresql()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database that nobody has used."""
    pytest.importorskip("sqlalchemy", reason="the extra sql is not installed")
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shared' / 'vantage.sqlite'}"
    pytest.importorskip("psycopg", reason="the extra sql is not installed")
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.database()


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[None]:
    """A small Ray cluster of this machine that this process is a driver of; skips where it is not asked for."""
    if not os.environ.get("VANTAGE_TEST_RAY"):
        pytest.skip("Ray starts a dozen processes, and gives up beside others that are busy: make test-ray runs these")
    pytest.importorskip("ray", reason="needs the extra ray: pip install 'vantage-reid[ray]'", exc_type=ImportError)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's about itself, while it is imported and started
        patch.setenv("RAY_AUTH_MODE", "disabled")  # otherwise a token is put into the home directory
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.delenv("VANTAGE_TEST_RAY")  # no setting of the commands', which refuse what they do not know
        import ray

        # Names of sockets are at most 107 bytes, and Ray adds some 60 of them: a folder of pytest's would be too deep.
        with tempfile.TemporaryDirectory(prefix="r") as scratch:
            for chance in reversed(range(3)):
                try:
                    ray.init(
                        address="local",
                        num_cpus=2,
                        include_dashboard=False,
                        object_store_memory=100_000_000,
                        log_to_driver=False,
                        _temp_dir=scratch,
                    )
                    break
                except Exception:  # its parts wait 15 s for one another, which a busy machine may not give them
                    ray.shutdown()
                    if not chance:
                        raise
            try:
                yield
            finally:
                ray.shutdown()
