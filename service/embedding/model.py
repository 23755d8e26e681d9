"""The model that serves, and how another takes its place without a request noticing."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from models import Bundle, Card, Crops, Device, Embeddings, ModelError, Precision, Session, check_session
from retrieval import Calibration
from service.embedding.errors import ReloadError
from service.embedding.pace import RunTimes

# Each batch that runs beside others takes memory for its own activations.
_MOST_LANES = 4
# Crops of the proof that a session answers alike alone and in a batch.
_PROOF = 4


class Embeds(Protocol):
    """What is asked of a `models.Session`."""

    def embed(self, crops: Crops) -> Embeddings: ...


@dataclass(frozen=True, slots=True)
class Lane:
    """A session with the times of its runs. at_once: how many threads may run it at the same time."""

    session: Embeds
    times: RunTimes
    at_once: int


@dataclass(frozen=True, slots=True, eq=False)
class ServedModel:
    """A model, loaded and tried out.

    session: for a crop that is alone; on the CPU its run has all threads.
    alone, side_by_side: how the queue runs it. Where much waits, several small runs beside each other get more done
        than one on all threads, whose members wait for the slowest after every layer. On a GPU the two are the same.
    calibration: what its scores mean; None where the card has none, and card.uncalibrated_because says why.
    """

    bundle: Bundle
    session: Session
    alone: Lane
    side_by_side: Lane
    calibration: Calibration | None

    @property
    def card(self) -> Card:
        return self.bundle.card

    @property
    def name(self) -> str:
        return self.bundle.card.name

    @property
    def sha256(self) -> str:
        return self.bundle.sha256

    @property
    def provider(self) -> str:
        """What runs it, in onnxruntime's words."""
        return self.session.provider


class ModelHolder:
    """The model that serves now.

    threads: processor threads that embed, all together; None is all cores. max_batch: crops in one run.
    Any thread may read `current`; who takes it keeps that model until done, whatever is loaded meanwhile.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        device: Device = "auto",
        threads: int | None = None,
        max_batch: int = 32,
        precision: Precision | None = None,
        gpu_memory_limit: int | None = None,
    ) -> None:
        """Loads and proves the model: a ModelError, and there is no holder."""
        self._device = device
        self._threads = threads or len(os.sched_getaffinity(0))
        self._max_batch = max_batch
        self._precision = precision
        self._gpu_memory_limit = gpu_memory_limit
        self._reloading = threading.Lock()
        self._current = self._load(Path(directory))

    @property
    def current(self) -> ServedModel:
        return self._current

    @property
    def name(self) -> str:
        return self._current.name

    @property
    def sha256(self) -> str:
        return self._current.sha256

    @property
    def provider(self) -> str:
        return self._current.provider

    def reload(self, directory: Path | str | None = None, *, other_model: bool = False) -> ServedModel:
        """Loads a bundle beside the one that serves, proves it, and lets it serve from the next request on.

        directory: None is where the present one came from. other_model: whether it may be another model, whose vectors
        the galleries of the present one cannot be compared with. ReloadError, and all is as before, if it does not
        load, does not run, runs on another provider than the present one, or is another model without leave to be.
        """
        if not self._reloading.acquire(blocking=False):
            raise ReloadError("a model is being loaded already: ask again when that is done")
        try:
            before = self._current
            folder = before.bundle.path if directory is None else Path(directory)
            try:
                model = self._load(folder, None if other_model else before.sha256)
            except (ModelError, OSError) as error:
                raise ReloadError(f"{folder} does not serve, {before.name} goes on: {error}") from error
            if model.provider != before.provider:
                raise ReloadError(
                    f"{model.name} runs on {model.provider}, not on {before.provider} as {before.name} does, which "
                    "goes on: mend the device, or start the service with the one that is wanted"
                )
            self._current = model
            return model
        finally:
            self._reloading.release()

    def _load(self, directory: Path, only: str | None = None) -> ServedModel:
        """only: the hash that it must have."""
        bundle = Bundle.open(directory, self._precision)
        if only is not None and bundle.sha256 != only:
            raise ReloadError(
                f"{bundle.card.name} in {directory} has sha256 {bundle.sha256}, what serves is {only}: galleries "
                "belong to one model; if another is wanted, say so, and embed them again (vantage gallery reembed)"
            )
        alone, side = self._lanes(bundle)
        calibration = bundle.card.calibration
        return ServedModel(
            bundle,
            alone[0],
            alone[1],
            side,
            None if calibration is None else Calibration.from_dict(calibration.model_dump()),
        )

    def _lanes(self, bundle: Bundle) -> tuple[tuple[Session, Lane], Lane]:
        # Alone, idle threads may run in circles until the next layer comes: nothing else has work for their cores.
        session = self._session(bundle, self._threads, spin=self._threads > 1)
        on_gpu = session.provider != "CPUExecutionProvider"
        lanes = 1 if on_gpu else min(self._threads, _MOST_LANES)
        alone = Lane(session, _run_times(session), 1)
        if lanes == 1:
            return (session, alone), alone
        beside = self._session(bundle, self._threads // lanes, spin=False)
        return (session, alone), Lane(beside, _run_times(beside), lanes)

    def _session(self, bundle: Bundle, threads: int, *, spin: bool) -> Session:
        session = Session(
            bundle,
            self._device,
            threads=threads,
            max_batch=self._max_batch,
            spin=spin,
            gpu_memory_limit=self._gpu_memory_limit,
        )
        check_session(session, min(_PROOF, self._max_batch))
        return session


def _run_times(session: Session) -> RunTimes:
    sizes = session.batch_sizes
    padded = session.provider != "CPUExecutionProvider" or session.card.input.fixed_batch is not None
    if padded:
        return RunTimes(sizes, padded=True)
    most = sizes[-1]
    return RunTimes((*(1 << power for power in range((most - 1).bit_length())), most), padded=False)
