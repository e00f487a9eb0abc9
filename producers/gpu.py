"""NVIDIA GPUs, as NVML (`nvidia-ml-py`) tells of them.

NVML does not start CUDA: a program may fork after a sample and use CUDA in the child.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from monitoring.producers.collector import Collector, Levels, NothingToRead, Series, Totals, read_each
from monitoring.producers.registry import Registry

__all__ = ["GpuCollector"]

_LABELS = ("gpu", "uuid", "name")
_LEVELS = (
    ("gpu_utilization_ratio", "Part of the last moment in which the GPU ran a kernel, however small", "ratio"),
    ("gpu_memory_total_bytes", "Memory of the GPU", "bytes"),
    ("gpu_memory_used_bytes", "Memory that is not free; what the driver keeps for itself is in it", "bytes"),
    ("gpu_memory_usage_ratio", "Used by total", "ratio"),
    ("gpu_temperature_celsius", "Temperature of the chip", "celsius"),
    ("gpu_power_watts", "Power it draws, memory and board included", "watts"),
    ("gpu_power_limit_watts", "Power at which it slows down", "watts"),
)
_TOTALS = (
    ("gpu_energy_joules_total", "Energy it has drawn", "joules"),
    ("gpu_ecc_errors_total", "Memory errors that could not be corrected: the device is failing", ""),
)
_NOT_HERE = ("NVML_ERROR_LIBRARY_NOT_FOUND", "NVML_ERROR_DRIVER_NOT_LOADED")
_NOT_TOLD = (
    "NVML_ERROR_NOT_SUPPORTED",
    "NVML_ERROR_NO_PERMISSION",
    "NVML_ERROR_FUNCTION_NOT_FOUND",
    "NVML_ERROR_NO_DATA",
    "NVML_ERROR_VGPU_ECC_NOT_SUPPORTED",
)
"""What a GPU, its driver or a partition of it (MIG, vGPU) may answer for a single figure: that one is left out."""


class GpuCollector(Collector):
    """Reads all GPUs. `nvml` is the module `pynvml`, or one with its functions.

    NVML is initialized at the first sample and never shut down: either takes long, and the application may use it.
    """

    def __init__(self, registry: Registry, nvml: Any) -> None:
        super().__init__(registry)
        self._nvml = nvml
        self._ready = False
        self._count = self._levels("gpu_count", "GPUs that the driver shows to this process")
        self._figures: dict[str, Levels | Totals] = {
            **{name: self._levels(name, meaning, unit=unit, labels=_LABELS) for name, meaning, unit in _LEVELS},
            **{name: self._totals(name, meaning, unit=unit, labels=_LABELS) for name, meaning, unit in _TOTALS},
        }
        self._not_told = {getattr(nvml, name, None) for name in _NOT_TOLD}  # older bindings know fewer

    def collect(self) -> None:
        """Read everything. Raises NothingToRead without a driver, ReadingFailed where a GPU could not be read."""
        self._start()
        try:
            number = self._nvml.nvmlDeviceGetCount()
        except self._nvml.NVMLError:
            self._ready = False  # the driver was loaded anew: begin again at the next round
            raise
        self._count.update({(): float(number)})
        found: dict[str, dict[Series, float]] = {name: {} for name in self._figures}
        try:
            read_each((f"GPU {index}", partial(self._read, index, found)) for index in range(number))
        finally:
            for name, instrument in self._figures.items():
                instrument.update(found[name])

    def _start(self) -> None:
        if self._ready:
            return
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError as error:
            if error.value in {getattr(self._nvml, name) for name in _NOT_HERE}:
                raise NothingToRead(f"there is no NVIDIA driver: {error}") from error
            raise
        self._ready = True

    def _read(self, index: int, found: Mapping[str, dict[Series, float]]) -> None:
        handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
        series = (str(index), self._nvml.nvmlDeviceGetUUID(handle), self._nvml.nvmlDeviceGetName(handle))
        for figures in _FIGURES:
            try:
                values = figures(self._nvml, handle)
            except self._nvml.NVMLError as error:
                if error.value not in self._not_told:
                    raise
                continue
            for name, value in values.items():
                found[name][series] = value


def _utilization(nvml: Any, handle: Any) -> dict[str, float]:
    return {"gpu_utilization_ratio": nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100}


def _memory(nvml: Any, handle: Any) -> dict[str, float]:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return {
        "gpu_memory_total_bytes": float(memory.total),
        "gpu_memory_used_bytes": float(memory.used),
        "gpu_memory_usage_ratio": memory.used / memory.total,
    }


def _temperature(nvml: Any, handle: Any) -> dict[str, float]:
    return {"gpu_temperature_celsius": float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))}


def _power(nvml: Any, handle: Any) -> dict[str, float]:
    return {"gpu_power_watts": nvml.nvmlDeviceGetPowerUsage(handle) / 1000}


def _power_limit(nvml: Any, handle: Any) -> dict[str, float]:
    return {"gpu_power_limit_watts": nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000}


def _energy(nvml: Any, handle: Any) -> dict[str, float]:
    return {"gpu_energy_joules_total": nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000}


def _ecc(nvml: Any, handle: Any) -> dict[str, float]:
    kind, since = nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
    return {"gpu_ecc_errors_total": float(nvml.nvmlDeviceGetTotalEccErrors(handle, kind, since))}


_FIGURES: tuple[Callable[[Any, Any], dict[str, float]], ...] = (
    _utilization,
    _memory,
    _temperature,
    _power,
    _power_limit,
    _energy,
    _ecc,
)
"""Each asks once; what a GPU does not tell is left out alone."""
