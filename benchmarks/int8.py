"""Would an int8 file of a model be worth shipping for processors?

    .venv/bin/python benchmarks/int8.py --data market1501:market --people 150

Static quantisation (QDQ, per channel, by training crops) beside float32: crops a second by turns in one run, how close
the embeddings are, and mAP and rank-1 on the test split, or on the first --people of it with no strangers among them.
It is worth it if it is faster and loses less than half a point of mAP. Nothing is chosen by these people.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from rich.console import Console
from rich.table import Table

from models import ZOO, Bundle
from retrieval import RankingMetrics, ranking_metrics
from training.data import Split, load_dataset, read_crops
from training.evaluation import labels_of

BATCH = 32
console = Console(width=110)
Crops = npt.NDArray[np.uint8]


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, crops: Crops, name: str) -> None:
        self._batches = iter([{name: crops[at : at + 8]} for at in range(0, len(crops), 8)])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)


def opened(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def quantised(path: Path, crops: Crops, input_name: str, folder: Path) -> Path:
    """What weighs is quantised: convolutions and products. Normalisation, at both ends, stays as it is."""
    prepared, small = folder / "prepared.onnx", folder / "int8.onnx"
    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(small),
        Calibration(crops, input_name),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,  # without VNNI sums of two products would overflow 16 bits
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv", "Gemm", "MatMul"],
    )
    return small


def rates(paths: dict[str, Path], crops: Crops, name: str) -> None:
    table = Table("crops a second", *paths, "int8 / float32", box=None)
    for threads, batch in ((1, 1), (1, 8), (2, 8)):
        sessions = {which: opened(path, threads) for which, path in paths.items()}
        taken: dict[str, list[float]] = {which: [] for which in paths}
        for turn in range(12):
            part = crops[turn * batch : turn * batch + batch]
            for which, session in sessions.items():
                began = time.perf_counter()
                for _ in range(max(1, 16 // batch)):
                    session.run(None, {name: part})
                taken[which].append((time.perf_counter() - began) / max(1, 16 // batch))
        fast = {which: batch / float(np.median(times[2:])) for which, times in taken.items()}
        ratio = fast["int8"] / fast["float32"]
        table.add_row(
            f"{threads} threads, batches of {batch}", *(f"{rate:.0f}" for rate in fast.values()), f"{ratio:.2f}"
        )
    console.print(table)


def embedded(
    sessions: dict[str, ort.InferenceSession], crops: Iterator[Crops], name: str
) -> dict[str, npt.NDArray[Any]]:
    rows: dict[str, list[npt.NDArray[Any]]] = {which: [] for which in sessions}
    waiting: list[Crops] = []

    def run() -> None:
        for which, session in sessions.items():
            rows[which].append(session.run(["embedding"], {name: np.stack(waiting)})[0])
        waiting.clear()

    for crop in crops:
        waiting.append(crop)
        if len(waiting) == BATCH:
            run()
    if waiting:
        run()
    return {which: np.concatenate(parts) for which, parts in rows.items()}


def readable(split: Split, spec: Any) -> Iterator[Crops]:
    for crop in read_crops(split, spec, None):
        if isinstance(crop, str):
            raise SystemExit(crop)
        yield crop


def of(split: Split, people: list[str]) -> Split:
    return split.take([place for place, person in enumerate(split.persons) if person in people])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a dataset, as for vantage-train evaluate; without it nothing is measured")
    parser.add_argument("--bundle", type=Path, default=ZOO / "osnet-x0_5-va-market1501")
    parser.add_argument("--crops", type=int, default=200, help="training crops that the ranges are taken from")
    parser.add_argument("--people", type=int, help="score only so many people of the test split")
    parser.add_argument("--threads", type=int, default=1, help="while the test split is embedded")
    options = parser.parse_args()
    if options.data is None:
        print("not run: it wants real crops, which --data names")
        return
    data, bundle = load_dataset(options.data), Bundle.open(options.bundle)
    some = sorted(set(data.query.persons))[: options.people]
    test = (
        [data.query, data.gallery]
        if options.people is None
        else [of(each, some) for each in (data.query, data.gallery)]
    )
    spec = bundle.card.input
    step = max(1, len(data.train) // options.crops)
    crops = np.stack(list(readable(data.train.take(range(0, len(data.train), step)), spec)))
    path = options.bundle / "model.onnx"
    name = opened(path, 1).get_inputs()[0].name
    with tempfile.TemporaryDirectory() as folder:
        paths = {"float32": path, "int8": quantised(path, crops, name, Path(folder))}
        sizes = {which: each.stat().st_size / 1e6 for which, each in paths.items()}
        console.print(f"{sizes['float32']:.1f} MB and {sizes['int8']:.1f} MB; ranges from {len(crops)} training crops")
        rates(paths, crops, name)
        sessions = {which: opened(each, options.threads) for which, each in paths.items()}
        asked = embedded(sessions, readable(test[0], spec), name)
        kept = embedded(sessions, readable(test[1], spec), name)
    close = (asked["float32"] * asked["int8"]).sum(axis=1)
    console.print(f"cosine of the two embeddings of a query: mean {close.mean():.4f}, lowest {close.min():.4f}")
    query, gallery = labels_of(*test, ignore_cameras=False)
    scored = f"{len(some)} people, {len(test[0]):,} queries, {len(test[1]):,} gallery pictures"
    table = Table(scored, "mAP", "rank-1", box=None)
    for which in paths:
        scores: RankingMetrics = ranking_metrics(1 - asked[which] @ kept[which].T, query, gallery)
        table.add_row(which, f"{100 * scores.map_step:.2f}", f"{100 * scores.rank1:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
