import ctypes
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest

from models.card import Card
from models.errors import ProviderError
from models.providers import Device, Execution, open_runner

GPU_BUILD = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.fixture
def model(make_card: Callable[..., Card], make_onnx: Callable[..., onnx.ModelProto]) -> bytes:
    return make_onnx(make_card()).SerializeToString()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Make onnxruntime claim to be a GPU build whose sessions silently end on the CPU; what they were asked for."""
    asked: dict[str, Any] = {}
    real = onnxruntime.InferenceSession

    def silently_on_the_cpu(model: bytes, options: Any, *, providers: Any, **more: Any) -> Any:
        asked.update(options=options, providers=providers, **more)
        return real(model, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: GPU_BUILD)
    monkeypatch.setattr(onnxruntime, "InferenceSession", silently_on_the_cpu)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    return asked


@pytest.fixture
def cpu_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)


class Driver:
    """libcuda, as far as it is asked."""

    def __init__(self, code: int, devices: int) -> None:
        self.code, self.devices = code, devices

    def __call__(self, name: str) -> "Driver":
        assert name == "libcuda.so.1"
        return self

    def cuInit(self, flags: int) -> int:  # noqa: N802 - the driver's name
        return self.code

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.devices
        return 0


def test_the_cpu_is_the_cpu(model: bytes) -> None:
    runner = open_runner(model, "cpu", Execution())
    assert runner.provider == "CPUExecutionProvider" == runner.session.get_providers()[0]
    assert runner.fallback_reason is None


@pytest.mark.usefixtures("cpu_build")
@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_gpu_is_refused_by_a_build_without_it(model: bytes, device: Device) -> None:
    with pytest.raises(
        ProviderError, match=rf"device {device} cannot be used: .* has CPUExecutionProvider and no .*gpu"
    ):
        open_runner(model, device, Execution())


@pytest.mark.usefixtures("cpu_build")
def test_auto_may_use_the_cpu_and_says_why(model: bytes) -> None:
    runner = open_runner(model, "auto", Execution())
    assert runner.provider == "CPUExecutionProvider"
    assert runner.fallback_reason is not None
    assert "no CUDAExecutionProvider" in runner.fallback_reason


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (Driver(100, 0), r"the NVIDIA driver does not start \(cuInit gives 100\)"),
        (Driver(0, 0), "the NVIDIA driver sees no GPU; check CUDA_VISIBLE_DEVICES"),
        (Driver(0, 1), "onnxruntime's log above says why"),
        (None, r"there is no NVIDIA driver \(libcuda\.so\.1\) here"),
    ],
    ids=["driver fails", "no device", "unknown", "no driver"],
)
def test_a_silent_fallback_is_an_error_with_its_reason(
    model: bytes,
    asked: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    device: Device,
    driver: Driver | None,
    reason: str,
) -> None:
    def no_library(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", driver or no_library)
    with pytest.raises(
        ProviderError, match=f"device {device} cannot be used: .* fell back to CPUExecution.*; {reason}"
    ):
        open_runner(model, device, Execution())


def test_missing_libraries_are_named_and_not_printed(
    model: bytes, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def preload() -> None:
        print("Failed to load libcudnn.so.9: cannot open shared object file")
        print("Please follow the instructions")
        warnings.warn("Failed to register bundled CUDA plugin EP from x: no", stacklevel=1)

    monkeypatch.setattr(onnxruntime, "preload_dlls", preload)
    with pytest.raises(
        ProviderError, match=r"Failed to load libcudnn\.so\.9: .*; Failed to register bundled CUDA"
    ) as caught:
        open_runner(model, "cuda", Execution())
    assert "Please" not in str(caught.value)
    assert capsys.readouterr().out == ""
    # A build that finds its provider only after loading the libraries names them too.
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ProviderError, match=r"and no CUDAExecutionProvider; Failed to load libcudnn\.so\.9"):
        open_runner(model, "cuda", Execution())


def test_an_exception_from_the_provider_is_a_sentence(
    model: bytes, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: Any, **more: Any) -> None:
        raise RuntimeError("CUDA failure 2: out of memory\nstack trace")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fails)
    with pytest.raises(ProviderError, match=r"device cuda cannot be used: CUDA failure 2: out of memory$"):
        open_runner(model, "cuda", Execution())


def test_a_device_nobody_knows_is_refused(model: bytes) -> None:
    with pytest.raises(ProviderError, match="device is 'gpu': choose one of auto, cpu, cuda, tensorrt"):
        open_runner(model, "gpu", Execution())  # type: ignore[arg-type]


def test_cuda_is_asked_for_steady_memory_and_answers_that_do_not_depend_on_the_batch(
    model: bytes, asked: dict[str, Any]
) -> None:
    with pytest.raises(ProviderError):
        open_runner(model, "cuda", Execution(gpu_memory_limit=2**31))
    assert asked["providers"] == [
        (
            "CUDAExecutionProvider",
            {
                "cudnn_conv_algo_search": "HEURISTIC",
                "arena_extend_strategy": "kSameAsRequested",
                "use_tf32": "0",
                "gpu_mem_limit": "2147483648",
            },
        ),
        ("CPUExecutionProvider", {}),
    ]
    assert asked["enable_fallback"] == 0


def test_tensorrt_comes_first_and_cuda_takes_what_it_leaves(model: bytes, asked: dict[str, Any]) -> None:
    with pytest.raises(ProviderError):
        open_runner(model, "tensorrt", Execution())
    assert [name for name, _ in asked["providers"]] == GPU_BUILD


@pytest.mark.parametrize(("spin", "entry"), [(False, "0"), (True, "1")])
def test_threads_and_spinning_are_set(model: bytes, asked: dict[str, Any], spin: bool, entry: str) -> None:
    open_runner(model, "cpu", Execution(threads=3, spin=spin))
    options = asked["options"]
    assert options.intra_op_num_threads == 3
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == entry


def test_without_a_number_onnxruntime_chooses_the_threads(model: bytes, asked: dict[str, Any]) -> None:
    open_runner(model, "cpu", Execution())
    assert asked["options"].intra_op_num_threads == 0


def test_the_real_onnxruntime_here_gives_what_was_asked_or_a_sentence(model: bytes, tmp_path: Path) -> None:
    for device in ("cuda", "auto"):
        try:
            runner = open_runner(model, device, Execution())  # type: ignore[arg-type]
        except ProviderError as error:
            assert device == "cuda"
            assert str(error).startswith("device cuda cannot be used: ")  # noqa: PT017 - either way is right
        else:
            assert runner.provider == "CUDAExecutionProvider" or (device == "auto" and runner.fallback_reason)
