"""Open an onnxruntime session on the device that was asked for, or say in a sentence why that cannot be.

onnxruntime falls back to the CPU without an error: when a provider's library or device is missing, at creation, and by
default also when a run fails on the device. So what was asked for is compared with what the session says that it runs.
"""

import contextlib
import ctypes
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, get_args

from models.errors import ProviderError
from models.graph import first_line
from models.runtime import onnxruntime

Device = Literal["auto", "cpu", "cuda", "tensorrt"]
DEVICES: tuple[Device, ...] = get_args(Device)

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}


@dataclass(frozen=True, slots=True)
class Execution:
    """How a session uses the machine.

    threads: threads that work on one batch; None leaves the number to onnxruntime (one per core).
    spin: whether idle threads wait by running in circles. A few per cent faster in a process that only embeds; in a web
        server they take the cores from decoding and search.
    gpu_memory_limit: bytes that onnxruntime's arena may take on the GPU; None is no limit.
    """

    threads: int | None = None
    spin: bool = False
    gpu_memory_limit: int | None = None

    def __post_init__(self) -> None:
        for name in ("threads", "gpu_memory_limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ProviderError(f"{name} is {value}: give 1 or more, or None to leave it to onnxruntime")


@dataclass(frozen=True, slots=True)
class Runner:
    """An onnxruntime session, the provider that runs it, and why it is not a better one (None if it was asked for)."""

    session: Any
    provider: str
    fallback_reason: str | None


def open_runner(model: bytes, device: Device, execution: Execution) -> Runner:
    """Run `model` on `device`. Only `auto` may end on the CPU without being told to, and then says why."""
    if device not in DEVICES:
        raise ProviderError(f"device is {device!r}: choose one of {', '.join(DEVICES)}")
    if device != "auto":
        return _open(model, device, execution)
    # Not TensorRT: it builds engines for minutes at first start, which nobody should get without asking for it.
    try:
        return _open(model, "cuda", execution)
    except ProviderError as error:
        runner = _open(model, "cpu", execution)
        return Runner(runner.session, runner.provider, str(error))


def _open(model: bytes, device: str, execution: Execution) -> Runner:
    ort = onnxruntime()
    wanted = _PROVIDERS[device]
    complaints = "" if device == "cpu" else _load_gpu_libraries(ort)  # first: some builds then find the provider
    available = ort.get_available_providers()
    if wanted not in available:
        missing = f"the installed onnxruntime {ort.__version__} has {', '.join(available)} and no {wanted}"
        raise ProviderError(
            f"device {device} cannot be used: {missing}; "
            + (complaints or "install the `gpu` extra instead of `cpu` (the two cannot stand side by side)")
        )
    try:
        session = ort.InferenceSession(
            model,
            _session_options(ort, device, execution),
            providers=_providers(device, execution),
            # Otherwise a failure on the device, also one hours later, moves the session to the CPU.
            enable_fallback=0,
            read_config_from_model=0,
        )
    except Exception as error:  # onnxruntime's exceptions have no common class but this one
        raise ProviderError(f"device {device} cannot be used: {first_line(error)}") from error
    running = session.get_providers()[0]
    if running != wanted:
        reason = complaints or _driver_problem() or "onnxruntime's log above says why"
        raise ProviderError(f"device {device} cannot be used: onnxruntime fell back to {running}; {reason}")
    return Runner(session, running, None)


def _session_options(ort: ModuleType, device: str, execution: Execution) -> Any:
    options = ort.SessionOptions()
    # On the CPU all that goes wrong is raised. A GPU's reasons for a fallback only ever stand in the log, as errors.
    options.log_severity_level = 4 if device == "cpu" else 3
    if execution.threads is not None:
        options.intra_op_num_threads = execution.threads
    # One batch runs its nodes in order: re-ID networks are chains, and parallelism comes from within the nodes.
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if execution.spin else "0")
    # After a run nobody spins on: what comes next in a web server, searching and answering, needs the cores.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.add_session_config_entry("session.load_model_format", "ONNX")  # as in graph.py, which checked these bytes
    return options


def _providers(device: str, execution: Execution) -> Sequence[tuple[str, dict[str, str]]]:
    cpu: tuple[str, dict[str, str]] = (_PROVIDERS["cpu"], {})
    if device == "cpu":
        return [cpu]
    options = {
        # EXHAUSTIVE, the default, times every algorithm at the first sight of each batch size: half a second and more.
        "cudnn_conv_algo_search": "HEURISTIC",
        # The default doubles its arena at every growth and never gives back.
        "arena_extend_strategy": "kSameAsRequested",
        # Rounds float32 to 10 bits in matrix products, differently for each algorithm, that is, for each batch size: a
        # crop's answer would depend on what it was batched with. Who wants speed takes the float16 file.
        "use_tf32": "0",
    }
    if execution.gpu_memory_limit is not None:
        options["gpu_mem_limit"] = str(execution.gpu_memory_limit)
    cuda = (_PROVIDERS["cuda"], options)
    # CPU stays in the list for the few nodes (shapes, mostly) that a GPU provider has no kernel for.
    return [cuda, cpu] if device == "cuda" else [(_PROVIDERS["tensorrt"], {}), cuda, cpu]


def _load_gpu_libraries(ort: ModuleType) -> str:
    """Load CUDA and cuDNN from the wheels beside onnxruntime, where the dynamic linker does not look.

    Returns what onnxruntime prints and warns about libraries that are missing, empty if none is.
    """
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        ort.preload_dlls()
    lines = [*printed.getvalue().splitlines(), *(str(warning.message) for warning in warned)]
    return "; ".join(line for line in lines if line.startswith("Failed to "))


def _driver_problem() -> str | None:
    """What the NVIDIA driver says about the devices of this machine; None if it sees one."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "there is no NVIDIA driver (libcuda.so.1) here; in a container, give it the GPU (docker run --gpus all)"
    code = driver.cuInit(0)
    if code != 0:
        return f"the NVIDIA driver does not start (cuInit gives {code}); see what nvidia-smi says"
    count = ctypes.c_int(0)
    driver.cuDeviceGetCount(ctypes.byref(count))
    if count.value == 0:
        return "the NVIDIA driver sees no GPU; check CUDA_VISIBLE_DEVICES"
    return None
