"""GPUs: of a driver that is imitated, as none is here; and that none is here, of the real library."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from monitoring.producers.collector import NothingToRead, ReadingFailed
from monitoring.producers.gpu import GpuCollector
from monitoring.producers.registry import Registry
from tests.producers.shown import shown

GIB = 1 << 30


class Driver:
    """The functions of pynvml that we call, with its constants and errors, over GPUs that a test sets up.

    A figure of a GPU may be an error code: asking for it raises that.
    """

    NVMLError = pynvml.NVMLError

    def __init__(self, *gpus: dict[str, Any]) -> None:
        self.gpus = list(gpus)
        self.started = 0
        self.broken = 0

    def __getattr__(self, name: str) -> Any:
        assert name.startswith("NVML_"), f"the driver is asked for {name}"
        return getattr(pynvml, name)

    def nvmlInit(self) -> None:  # noqa: N802 - these are NVML's names
        self.started += 1
        if self.broken:
            raise pynvml.NVMLError(self.broken)

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        if self.broken:
            raise pynvml.NVMLError(self.broken)
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> dict[str, Any]:  # noqa: N802
        gpu = self.gpus[index]
        if "lost" in gpu:
            raise pynvml.NVMLError(gpu["lost"])
        return gpu

    nvmlDeviceGetUUID = staticmethod(lambda gpu: _figure(gpu, "uuid"))  # noqa: N815
    nvmlDeviceGetName = staticmethod(lambda gpu: "NVIDIA H100 80GB HBM3")  # noqa: N815
    nvmlDeviceGetUtilizationRates = staticmethod(lambda gpu: SimpleNamespace(gpu=_figure(gpu, "busy")))  # noqa: N815
    nvmlDeviceGetPowerUsage = staticmethod(lambda gpu: _figure(gpu, "milliwatts"))  # noqa: N815
    nvmlDeviceGetEnforcedPowerLimit = staticmethod(lambda gpu: 700_000)  # noqa: N815
    nvmlDeviceGetTotalEnergyConsumption = staticmethod(lambda gpu: _figure(gpu, "millijoules"))  # noqa: N815

    @staticmethod
    def nvmlDeviceGetMemoryInfo(gpu: dict[str, Any]) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(total=80 * GIB, used=_figure(gpu, "used"))

    @staticmethod
    def nvmlDeviceGetTemperature(gpu: dict[str, Any], sensor: int) -> int:  # noqa: N802
        assert sensor == pynvml.NVML_TEMPERATURE_GPU
        return int(_figure(gpu, "celsius"))

    @staticmethod
    def nvmlDeviceGetTotalEccErrors(gpu: dict[str, Any], kind: int, since: int) -> int:  # noqa: N802
        assert (kind, since) == (pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC)
        return int(_figure(gpu, "ecc"))


def _figure(gpu: dict[str, Any], name: str) -> Any:
    if isinstance(gpu[name], Refused):
        raise pynvml.NVMLError(gpu[name].code)
    return gpu[name]


class Refused:
    """What a GPU answers in place of a figure."""

    def __init__(self, code: int) -> None:
        self.code = code


def gpu(number: int, **figures: Any) -> dict[str, Any]:
    return {
        "uuid": f"GPU-{number}", "busy": 83, "used": 20 * GIB, "celsius": 61, "milliwatts": 512_500,
        "millijoules": 1_000_000, "ecc": 0, **figures,
    }  # fmt: skip


def of(number: int) -> tuple[str, str, str]:
    return (str(number), f"GPU-{number}", "NVIDIA H100 80GB HBM3")


def sampled(driver: Driver) -> tuple[Registry, Callable[[], dict[str, dict[tuple[str, ...], float]]]]:
    registry = Registry()
    collector = GpuCollector(registry, driver)

    def again() -> dict[str, dict[tuple[str, ...], float]]:
        collector.collect()
        return shown(registry)

    return registry, again


def test_each_gpu_is_told_in_base_units() -> None:
    found = sampled(Driver(gpu(0), gpu(1, busy=0)))[1]()
    assert found["gpu_count"] == {(): 2}
    assert found["gpu_utilization_ratio"] == {of(0): 0.83, of(1): 0}
    assert found["gpu_memory_total_bytes"][of(0)] == 80 * GIB
    assert found["gpu_memory_used_bytes"][of(0)] == 20 * GIB
    assert found["gpu_memory_usage_ratio"][of(0)] == 0.25
    assert found["gpu_temperature_celsius"][of(0)] == 61
    assert found["gpu_power_watts"][of(0)] == 512.5
    assert found["gpu_power_limit_watts"][of(0)] == 700
    assert found["gpu_energy_joules_total"][of(0)] == 0, "the first reading sets the base"
    assert found["gpu_ecc_errors_total"][of(0)] == 0


def test_energy_and_memory_errors_are_counted_by_difference() -> None:
    driver = Driver(gpu(0, ecc=5))
    _, again = sampled(driver)
    again()
    driver.gpus[0] |= {"millijoules": 1_500_000, "ecc": 6}
    found = again()
    assert found["gpu_energy_joules_total"][of(0)] == 500
    assert found["gpu_ecc_errors_total"][of(0)] == 1


def test_what_a_gpu_does_not_tell_is_left_out_alone() -> None:
    driver = Driver(
        gpu(
            0,
            milliwatts=Refused(pynvml.NVML_ERROR_NOT_SUPPORTED),
            busy=Refused(pynvml.NVML_ERROR_NO_PERMISSION),
            ecc=Refused(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND),
        )
    )
    found = sampled(driver)[1]()
    assert not {"gpu_power_watts", "gpu_utilization_ratio", "gpu_ecc_errors_total"} & set(found)
    assert found["gpu_memory_usage_ratio"] == {of(0): 0.25}


def test_a_gpu_that_fell_off_the_bus_is_named_and_the_others_are_read() -> None:
    driver = Driver(gpu(0), gpu(1), gpu(2))
    registry, again = sampled(driver)
    again()
    driver.gpus[0] = {"lost": pynvml.NVML_ERROR_GPU_IS_LOST}
    driver.gpus[1]["celsius"] = Refused(pynvml.NVML_ERROR_UNKNOWN)
    with pytest.raises(ReadingFailed, match=r"^GPU 0: .*GPU is lost; GPU 1: .*Unknown Error$"):
        again()
    assert of(2) in shown(registry)["gpu_temperature_celsius"]
    assert of(0) not in shown(registry)["gpu_temperature_celsius"], "its last value is no value"


def test_the_driver_is_started_once_and_again_after_it_was_loaded_anew() -> None:
    driver = Driver(gpu(0))
    _, again = sampled(driver)
    again()
    again()
    assert driver.started == 1
    driver.broken = pynvml.NVML_ERROR_UNINITIALIZED
    with pytest.raises(pynvml.NVMLError):
        again()
    driver.broken = 0
    again()
    assert driver.started == 2


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED])
def test_without_a_driver_there_is_nothing_to_read_ever(code: int) -> None:
    driver = Driver()
    driver.broken = code
    with pytest.raises(NothingToRead, match="no NVIDIA driver"):
        sampled(driver)[1]()


def test_a_driver_that_does_not_start_for_another_reason_is_tried_again() -> None:
    driver = Driver(gpu(0))
    driver.broken = pynvml.NVML_ERROR_UNKNOWN
    _, again = sampled(driver)
    with pytest.raises(pynvml.NVMLError):
        again()
    driver.broken = 0
    assert again()["gpu_count"] == {(): 1}


def test_every_function_and_constant_that_is_imitated_is_one_of_the_real_library() -> None:
    for name in vars(Driver):
        if name.startswith("nvml"):
            assert callable(getattr(pynvml, name)), name


def _has_driver() -> bool:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return False
    return True


@pytest.mark.skipif(_has_driver(), reason="this machine has an NVIDIA driver")
def test_the_real_library_on_a_machine_without_a_driver_has_nothing_to_read() -> None:
    with pytest.raises(NothingToRead):
        GpuCollector(Registry(), pynvml).collect()


@pytest.mark.skipif(not _has_driver(), reason="this machine has no NVIDIA driver")
def test_the_real_gpus_are_within_sane_ranges() -> None:
    registry = Registry()
    GpuCollector(registry, pynvml).collect()
    found = shown(registry)
    assert len(found["gpu_memory_total_bytes"]) == found["gpu_count"][()]
    assert all(0 <= ratio <= 1 for name in found if name.endswith("_ratio") for ratio in found[name].values())
