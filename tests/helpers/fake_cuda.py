"""A CUDA device without a GPU: tensors that say that they are on one, and compute on the CPU.

Operations on them see what CUDA would: whether all tensors are on the device, and whether the host has to wait. Since
their numbers are real, nothing else is replaced: checkpoints, files, the export and the evaluation are those of a GPU,
and results must equal the CPU's. torch's own FakeTensorMode computes nothing, so most of that would have to be stubbed.

What it cannot show: the kernels themselves (cuDNN is off), their speed, memory, rounding and race conditions.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from lightning_fabric.accelerators import cuda as fabric_cuda
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _foreach_utils
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
SOURCE = "convzoo"

# Operations whose result's size or value the host must know, so that it waits for the device.
READ_BY_THE_HOST = {
    *("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal", "aten::is_nonzero"),
    *("aten::_unique2", "aten::unique_dim", "aten::unique_consecutive", "aten::bincount", "aten::_linalg_eigh"),
    *("aten::repeat_interleave", "aten::allclose"),
}
# Operations that take indices on the CPU, too: CUDA copies them first.
INDEXING = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}
# What raises an error on CUDA if deterministic algorithms are asked for (documentation of
# torch.use_deterministic_algorithms), as far as networks here could come to use it.
NOT_DETERMINISTIC = {
    *("aten::grid_sampler_2d_backward", "aten::upsample_bilinear2d_backward", "aten::_adaptive_avg_pool2d_backward"),
    *("aten::adaptive_max_pool2d_backward", "aten::reflection_pad2d_backward", "aten::replication_pad2d_backward"),
    *("aten::max_unpool2d", "aten::avg_pool3d_backward", "aten::nll_loss2d_forward", "aten::histc"),
}


# What autocast computes in bf16, as far as networks here use it.
IN_LOWER_PRECISION = {torch.conv2d, F.conv2d, F.conv_transpose2d, torch.conv_transpose2d, F.linear, torch.matmul}


class Wait(NamedTuple):
    """A point where the host waits for the device."""

    operation: str
    place: str  # file:line in the package


class CudaTensor(Tensor):
    """A tensor that says that it is on a CUDA device, and has its numbers in `inner`, on the CPU.

    torch's C++ code sees a tensor on the device `meta`, which needs no driver.
    """

    @staticmethod
    def __new__(cls, inner: Tensor) -> "CudaTensor":
        with torch.utils._python_dispatch._disable_current_modes():
            meta = torch.empty_strided(inner.shape, inner.stride(), dtype=inner.dtype, device="meta")
            tensor = Tensor._make_subclass(cls, meta, False, device_for_backend_keys=CUDA)
        tensor.inner = inner
        return tensor

    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)
    is_cpu = is_meta = property(lambda self: False)
    get_device = lambda self: 0  # noqa: E731

    def to(self, *arguments: Any, **options: Any) -> Tensor:
        device, dtype, non_blocking, memory_format = torch._C._nn._parse_to(*arguments, **options)
        device, dtype = device or CUDA, dtype or self.dtype
        if device.type == "cuda" and dtype == self.dtype and memory_format is None and not options.get("copy"):
            return self
        return torch.ops.aten._to_copy(
            self, dtype=dtype, device=device, non_blocking=non_blocking, memory_format=memory_format
        )

    def cpu(self, **options: Any) -> Tensor:
        return self.to("cpu", **options)

    def cuda(self, *arguments: Any, **options: Any) -> Tensor:
        return self

    def numpy(self, **options: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __deepcopy__(self, memo: dict[int, Any]) -> "CudaTensor":
        copy = CudaTensor(self.inner.clone())
        copy.requires_grad_(self.requires_grad)
        if getattr(self, "_is_param", False):
            copy._is_param = True
        memo[id(self)] = copy
        return copy

    def __repr__(self, **options: Any) -> str:
        return f"CudaTensor({self.inner!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return FakeCuda.active.run(func, args, kwargs or {})

    __torch_function__ = torch._C._disabled_torch_function_impl


class FakeCuda(TorchDispatchMode):
    """Makes `cuda` a device while it is entered, and records what the host waits for."""

    active: "FakeCuda"

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[Wait] = []
        self.operations = 0  # on the device
        self.asynchronous_copies = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return self.run(func, args, kwargs or {})

    def run(self, func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Run an operation of ATen on the CPU; its result is on the device if a tensor or its `device` is."""
        name = func._schema.name
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        on_cuda = [tensor for tensor in tensors if isinstance(tensor, CudaTensor)]
        target = torch.device(kwargs["device"]) if kwargs.get("device") is not None else None
        target = CUDA if target and target.type == "meta" else target
        if name == "aten::_pin_memory":
            pinned = args[0].clone()
            pinned.is_copied_without_waiting = True
            return pinned
        if not on_cuda and (target is None or target.type != "cuda"):
            return func(*args, **kwargs)

        self.operations += 1
        self._check_devices(name, tensors)
        if torch.are_deterministic_algorithms_enabled() and name in NOT_DETERMINISTIC:
            raise RuntimeError(f"{name} does not have a deterministic implementation")
        if kwargs.get("non_blocking") and hasattr(tensors[0], "is_copied_without_waiting"):
            self.asynchronous_copies += 1
        elif self._is_waited_for(name, args, tensors, target):
            self.waits.append(Wait(name.removeprefix("aten::"), _place()))

        wrappers = {id(tensor.inner): tensor for tensor in on_cuda}
        inner_args, inner_kwargs = tree_map_only(CudaTensor, lambda tensor: tensor.inner, (args, kwargs))
        inner_kwargs = {key: value for key, value in inner_kwargs.items() if key not in ("pin_memory", "non_blocking")}
        if target:
            inner_kwargs["device"] = CPU
        result = func(*inner_args, **inner_kwargs)
        if name == "aten::copy_":
            return args[0]
        if target and target.type == "cpu":
            return result
        # Operations in place return what they changed: the tensor that is known outside.
        return tree_map_only(
            Tensor, lambda tensor: wrappers[id(tensor)] if id(tensor) in wrappers else CudaTensor(tensor), result
        )

    def _check_devices(self, name: str, tensors: list[Tensor]) -> None:
        """Raise RuntimeError as CUDA does if tensors are on two devices; single numbers may be on the CPU."""
        on_cpu = [tensor for tensor in tensors if not isinstance(tensor, CudaTensor) and tensor.dim()]
        if 0 < len(on_cpu) < len(tensors) and name not in ("aten::_to_copy", "aten::copy_", *INDEXING):
            raise RuntimeError(f"{name}: expected all tensors to be on the same device, found cuda:0 and cpu")

    def _is_waited_for(self, name: str, args: tuple, tensors: list[Tensor], target: torch.device | None) -> bool:
        if name == "aten::_to_copy":
            return (target or tensors[0].device).type != tensors[0].device.type
        if name == "aten::copy_":
            return args[0].device != args[1].device and args[1].dim() > 0
        if name in INDEXING:
            indices = [index for index in args[1] if index is not None]
            masks = (torch.bool, torch.uint8)
            return any(index.dtype in masks or not isinstance(index, CudaTensor) for index in indices)
        return name in READ_BY_THE_HOST


class Autocast(TorchFunctionMode):
    """torch.autocast for tensors of the fake device, which C++ does not take for CUDA's."""

    stack: ClassVar[list[bool]] = []  # whether it is enabled, innermost last

    def __init__(self, device_type: str, dtype: torch.dtype | None = None, enabled: bool = True) -> None:
        super().__init__()
        self.dtype, self.enabled = dtype or torch.bfloat16, enabled

    def __enter__(self) -> Self:
        self.stack.append(self.enabled)
        return super().__enter__()

    def __exit__(self, *arguments: Any) -> None:
        self.stack.pop()
        super().__exit__(*arguments)

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func in IN_LOWER_PRECISION and self.stack[-1]:
            args, kwargs = tree_map_only(CudaTensor, self._cast, (args, kwargs))
        return func(*args, **kwargs or {})

    def _cast(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor


def _place() -> str:
    """The innermost line of the package that is being executed."""
    frame = sys._getframe(2)
    while frame and f"/{SOURCE}/" not in frame.f_code.co_filename:
        frame = frame.f_back
    if frame is None:
        return "outside of the package"
    return f"{Path(frame.f_code.co_filename).as_posix().rpartition(f'/{SOURCE}/')[2]}:{frame.f_lineno}"


def _module_to(module: nn.Module, *arguments: Any, move: Any = nn.Module.to, **options: Any) -> nn.Module:
    """`module.to`; its weights become tensors of the device, unless they are already."""
    device, dtype, *_ = torch._C._nn._parse_to(*arguments, **options)
    if device is None or device.type != "cuda":
        return move(module, *arguments, **options)
    tensors = [*module.parameters(), *module.buffers()]
    if dtype is None and all(isinstance(tensor, CudaTensor) for tensor in tensors):
        return module
    overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        return move(module, *arguments, **options)
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwrites)


@contextlib.contextmanager
def cuda_in_name_only() -> Iterator[None]:
    """While entered, torch says that there is a CUDA device with bf16; whatever uses it fails."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.cuda, "is_available", lambda: True)
        patched.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
        patched.setattr(torch.cuda, "device_count", lambda: 1)
        patched.setattr(fabric_cuda, "num_cuda_devices", lambda: 1)
        patched.setattr(fabric_cuda, "_get_all_visible_cuda_devices", lambda: [0])
        yield


@contextlib.contextmanager
def fake_cuda(foreach: bool = True) -> Iterator[FakeCuda]:
    """While entered, there is a CUDA device that computes on the CPU.

    Optimizers take all weights at once there, which rounds differently; without `foreach` they work as on the CPU.
    """
    with cuda_in_name_only(), pytest.MonkeyPatch.context() as patched:
        for name in ("_lazy_init", "set_device", "empty_cache", "manual_seed_all"):
            patched.setattr(torch.cuda, name, lambda *arguments: None)
        patched.setattr(fabric_cuda, "_check_cuda_matmul_precision", lambda device: None)
        patched.setattr(torch.backends.cudnn, "enabled", False)
        for check in ("_accelerator_graph_capture_health_check", "_cuda_graph_capture_health_check"):
            patched.setattr(torch.optim.Optimizer, check, lambda optimizer: None, raising=False)
        patched.setattr(nn.Module, "to", _module_to)
        patched.setattr(torch, "autocast", Autocast)
        if foreach:
            for module in (sys.modules["torch.optim.optimizer"], _foreach_utils):
                kinds = [*module._foreach_supported_types, CudaTensor]
                patched.setattr(module, "_foreach_supported_types", kinds)
        lifts = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device="cuda") is then a copy to the device
        try:
            with FakeCuda() as FakeCuda.active:
                yield FakeCuda.active
        finally:
            torch._C._set_only_lift_cpu_tensors(lifts)
