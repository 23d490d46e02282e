"""The doctor's checks of the machine: model, processor, power, space, clock, settings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest

from edgeassist.device.cores import CpuSnapshot
from edgeassist.device.cpus import FrequencyPolicy
from edgeassist.device.firmware import decode_throttled
from edgeassist.doctor import checks, probes
from edgeassist.doctor.checks.clock import ClockSnapshot, check_clock
from edgeassist.doctor.checks.configuration import ConfigurationSnapshot, SecretFile, check_configuration
from edgeassist.doctor.checks.model import ModelSnapshot, check_model
from edgeassist.doctor.checks.power import PowerSnapshot, check_power
from edgeassist.doctor.checks.processor import BuildSnapshot, check_build, check_threads
from edgeassist.doctor.checks.space import SpaceSnapshot, check_space
from edgeassist.doctor.finding import ok, problem, skipped, warning, worst
from edgeassist.models.fit import Demand, Format, Memory, Weights
from edgeassist.models.kv import alike
from edgeassist.protocol.findings import Severity
from tests.unit.findings import OK, PROBLEM, SKIPPED, WARNING, only, told

MIB = 1 << 20
GIB = 1 << 30


def test_each_check_has_a_probe_of_its_name() -> None:
    named = [{module.name for module in iter_modules(package.__path__)} for package in (checks, probes)]
    assert len(named[0]) > 1
    assert named[0] <= named[1]


def test_the_worst_finding_is_the_verdict() -> None:
    findings = [ok("a", "fine"), warning("b", "hm", "do"), skipped("c", "unknown")]
    assert worst(findings) is WARNING
    assert worst([*findings, problem("d", "broken", "do")]) is PROBLEM
    assert worst([ok("a", "fine"), skipped("c", "unknown")]) is SKIPPED
    assert worst([]) is OK


# --- settings -------------------------------------------------------------------------------------------


def test_each_wrong_setting_is_a_problem_of_its_own() -> None:
    snapshot = ConfigurationSnapshot(
        "box.toml", "edgeassist check-config", ("mqtt.port: no", "mqtt.x: unknown")
    )
    findings = list(check_configuration(snapshot))
    assert [each.severity for each in findings] == [PROBLEM, PROBLEM]
    assert all("edgeassist check-config" in str(each.remedy) for each in findings)


@pytest.mark.parametrize(("mode", "severity"), [(0o100644, WARNING), (0o100640, OK), (0o100600, OK)])
def test_a_secret_is_for_its_owner_and_group(mode: int, severity: Severity) -> None:
    secret = SecretFile("mqtt.password", Path("/etc/box.toml"), mode)
    findings = list(check_configuration(ConfigurationSnapshot("box.toml", "check", secrets=(secret,))))
    assert worst(findings) is severity
    assert told(findings, WARNING, "chmod o-rwx /etc/box.toml") is (severity is WARNING)


def test_secrets_in_the_unit_and_those_that_are_hidden_are_told() -> None:
    snapshot = ConfigurationSnapshot("x", "check", in_unit=("mqtt.password",), unread=("mqtt.password",))
    findings = list(check_configuration(snapshot))
    assert told(findings, WARNING, "systemctl show", "LoadCredential=mqtt.password")
    assert told(findings, SKIPPED, "mqtt.password", "sudo edgeassist doctor")


# --- model ----------------------------------------------------------------------------------------------

# Qwen2.5-0.5B's shape: 12,288 bytes of KV cache per token in f16.
WEIGHTS = Weights(
    format=Format.GGUF,
    size_bytes=352 * MIB,
    trained_context=32_768,
    kept=alike(24, 2, 64),
)
MODEL = ModelSnapshot(
    Path("/models/box.gguf"),
    "llama",
    "aarch64",
    Demand(4096),
    user="edge",
    readable=True,
    weights=WEIGHTS,
    quantization="Q4_0",
    main_type="Q4_0",
    memory=Memory(3 * GIB, 4 * GIB),
    swap_bytes=0,
)


def test_a_model_that_fits_is_well() -> None:
    assert only(check_model(MODEL)).severity is OK


@pytest.mark.parametrize(
    ("change", "severity", "words"),
    [
        ({"backend": "scripted"}, WARNING, ("answered with themselves",)),
        ({"refusal": "there is no model"}, PROBLEM, ("there is no model",)),
        ({"backend_installed": False}, PROBLEM, ("not installed", "pip install 'edgeassist[llama]'")),
        ({"readable": False}, PROBLEM, ("edge may not read /models/box.gguf", "chmod a+r")),
        (
            {"readable": False, "barred": Path("/models/box-00002-of-00002.gguf")},
            PROBLEM,
            ("edge may not read /models/box-00002-of-00002.gguf", "a+r '/models/box-00002-of-00002.gguf'"),
        ),
        ({"readable": None}, OK, ("Q4_0",)),
        ({"has_template": False}, WARNING, ("no chat template", "model.template")),
        ({"has_template": False, "template": Path("/t.jinja")}, OK, ()),
        ({"made_for": "CUDA"}, WARNING, ("a build for CUDA", "the build for CPUs")),
        ({"template": Path("/t"), "template_refusal": "there is no /t"}, PROBLEM, ("there is no /t",)),
        ({"hidden": True}, SKIPPED, ("sudo edgeassist doctor",)),
        ({"memory": Memory(400 * MIB)}, PROBLEM, ("400 MiB", "edgeassist recommend")),
        ({"memory": Memory(460 * MIB)}, PROBLEM, ("460 MiB", "engine.kv_type to q8_0")),
        ({"memory": Memory(460 * MIB, GIB)}, PROBLEM, ("at the moment", "end other programs")),
        ({"memory": Memory(460 * MIB), "demand": Demand(4096, "q4_0"), "swap_bytes": GIB}, OK, ()),
        ({"memory": Memory(570 * MIB)}, WARNING, ("without any swap",)),
        ({"memory": Memory(570 * MIB), "swap_bytes": GIB}, OK, ()),
        ({"memory": Memory()}, OK, ()),
        ({"demand": Demand(65_536), "memory": Memory(8 * GIB)}, WARNING, ("trained for 32768",)),
        (
            {"demand": Demand(65_536), "memory": Memory(8 * GIB), "builtin": True},
            OK,
            ("commands and sensors only",),
        ),
        ({"quantization": "Q4_K_M", "main_type": "Q5_0"}, WARNING, ("Q4_K_M", "Q5_0", "Q4_0")),
        ({"quantization": "Q5_0", "main_type": "Q5_0"}, WARNING, ("most weights are Q5_0",)),
        ({"quantization": "Q4_K_M", "main_type": "Q4_K"}, OK, ()),
        ({"quantization": "Q4_K_M", "main_type": "Q5_0", "machine": "x86_64"}, OK, ()),
        ({"state_bytes": 256 * MIB}, OK, ()),
        (
            {"state_bytes": 20 * MIB},
            WARNING,
            ("prompts of 1536 tokens", "the context holds 4096", "state_mb to 48"),
        ),
        ({"state_bytes": 20 * MIB, "backend": "onnx"}, OK, ()),
    ],
)
def test_what_is_wrong_with_a_model_is_told(
    change: dict[str, Any], severity: Severity, words: tuple[str, ...]
) -> None:
    findings = list(check_model(replace(MODEL, **change)))
    assert worst(findings) is severity
    assert told(findings, severity, *words)


# --- processor ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("features", "build", "severity", "words"),
    [
        (
            "asimd asimddp fphp",
            "CPU : NEON = 1 | ARM_FMA = 1 | REPACK = 1 |",
            WARNING,
            ("DOTPROD", "armv8.2-a"),
        ),
        ("asimd asimddp fphp", "CPU : NEON = 1 | DOTPROD = 1 |", OK, ()),
        ("asimd fphp", "CPU : NEON = 1 | ARM_FMA = 1 |", OK, ()),
        ("sse3 avx avx2", "CPU : SSE3 = 1 | AVX = 1 | AVX2 = 0 |", WARNING, ("AVX2", "GGML_NATIVE=ON")),
        ("sse3 avx avx2", "CPU : SSE3 = 1 | AVX = 1 | AVX2 = 1 | F16C = 1 |", OK, ()),
        ("sse3", "CPU : SSE3 = 1 |", OK, ()),
    ],
)
def test_a_build_without_the_processors_instructions_is_told(
    features: str, build: str, severity: Severity, words: tuple[str, ...]
) -> None:
    finding = only(check_build(BuildSnapshot(frozenset(features.split()), build, python="/opt/py")))
    assert finding.severity is severity
    assert told([finding], severity, *words)
    assert finding.remedy is None or "/opt/py -m pip install" in finding.remedy


def test_a_build_for_another_processor_is_a_problem_and_none_is_nothing() -> None:
    assert only(check_build(BuildSnapshot(frozenset(), None, "illegal instruction"))).severity is PROBLEM
    assert only(check_build(BuildSnapshot(frozenset(), None, unasked="it took long"))).severity is SKIPPED
    assert list(check_build(BuildSnapshot(frozenset(), None))) == []


@pytest.mark.parametrize(
    ("configured", "quota", "unit_quota", "severity"),
    [
        (None, None, None, OK),
        (4, None, None, OK),
        (2, None, None, OK),
        (8, None, None, WARNING),
        (4, 2.0, None, WARNING),
        (4, None, 1.5, WARNING),
        (1, 2.0, 1.5, OK),
    ],
)
def test_more_threads_than_cores_or_quota_are_told(
    configured: int | None, quota: float | None, unit_quota: float | None, severity: Severity
) -> None:
    cpus = CpuSnapshot(frozenset(range(4)), quota=quota)
    assert only(check_threads(cpus, configured, unit_quota)).severity is severity


# --- power and heat -------------------------------------------------------------------------------------

PI = PowerSnapshot(
    52.0, 80.0, decode_throttled(0), (FrequencyPolicy("ondemand", "cpufreq-dt", 2_400_000, 2_400_000),)
)


def test_a_cool_board_is_well_and_without_sensors_nothing_is_claimed() -> None:
    assert only(check_power(PI)).severity is OK
    assert only(check_power(PowerSnapshot(None, None, None, ()))).severity is SKIPPED


@pytest.mark.parametrize(
    ("change", "severity", "words"),
    [
        ({"flags": decode_throttled(0x1)}, PROBLEM, ("under-voltage at this moment", "supply")),
        ({"flags": decode_throttled(0x10000)}, WARNING, ("under-voltage before",)),
        ({"under_voltage_since_start": True}, WARNING, ("under-voltage before",)),
        ({"flags": decode_throttled(0x4)}, WARNING, ("slowed down at this moment (now 52 °C)",)),
        ({"flags": decode_throttled(0x8)}, WARNING, ("slowed down at this moment",)),
        ({"flags": decode_throttled(0x40000)}, WARNING, ("slowed down before",)),
        ({"throttled_since_start": True}, WARNING, ("slowed down before",)),
        ({"flags": decode_throttled(0x2)}, WARNING, ("firmware caps",)),
        ({"temperature_c": 77.0}, WARNING, ("77 °C",)),
        ({"temperature_c": 76.9}, OK, ()),
        ({"temperature_c": 80.0, "limit_c": None}, OK, ()),
        ({"temperature_c": 90.0, "limit_c": None}, WARNING, ("90 °C",)),
        ({"policies": (FrequencyPolicy("powersave", "cpufreq-dt", None, None),)}, WARNING, ("powersave",)),
        ({"policies": (FrequencyPolicy("powersave", "intel_pstate", None, None),)}, OK, ()),
        (
            {"policies": (FrequencyPolicy("ondemand", "cpufreq-dt", 600_000, 2_400_000),) * 4},
            WARNING,
            ("600 MHz", "echo 2400000"),
        ),
    ],
)
def test_what_holds_the_processor_back_is_told(
    change: dict[str, Any], severity: Severity, words: tuple[str, ...]
) -> None:
    finding = only(check_power(replace(PI, **change)))
    assert finding.severity is severity
    assert told([finding], severity, *words)


# --- space ----------------------------------------------------------------------------------------------

SPACE = SpaceSnapshot(GIB, 0.0, 0.0, 4 * GIB, Path("/var/lib/edgeassist"), True, GIB, 256 * MIB, "edge")  # noqa: FBT003


@pytest.mark.parametrize(
    ("change", "severity", "words"),
    [
        ({}, OK, ("1024 MiB of memory and 4096 MiB of disk free",)),
        ({"memory_available_bytes": 50 * MIB}, WARNING, ("only 50 MiB",)),
        ({"memory_pressure": 35.0}, WARNING, ("35 %", "edgeassist recommend")),
        ({"io_pressure": 35.0}, WARNING, ("35 %", "disk")),
        ({"state_writable": False}, PROBLEM, ("edge may not write", "chown edge '/var/lib/edgeassist'")),
        ({"state_writable": None}, OK, ()),
        ({"state_outlives_boots": False}, WARNING, ("nothing is kept", "engine.state_folder")),
        ({"state_free_bytes": 10 * MIB}, WARNING, ("engine.state_mb",)),
        ({"root_free_bytes": 10 * MIB}, WARNING, ("10 MiB", "journalctl --vacuum-size")),
    ],
)
def test_where_there_is_no_space_is_told(
    change: dict[str, Any], severity: Severity, words: tuple[str, ...]
) -> None:
    finding = only(check_space(replace(SPACE, **change)))
    assert finding.severity is severity
    assert told([finding], severity, *words)


def test_a_machine_of_which_nothing_is_known_has_no_trouble() -> None:
    assert only(check_space(SpaceSnapshot(None, None, None, None))).severity is OK


# --- clock ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("year", "synchronised", "tls", "severity"),
    [
        (2026, True, True, OK),
        (2026, None, True, OK),
        (2026, False, False, WARNING),
        (2026, False, True, WARNING),
        (1970, False, False, WARNING),
        (1970, False, True, PROBLEM),
        (1970, None, True, PROBLEM),
    ],
)
def test_a_clock_that_can_not_be_right_is_told(
    year: int, *, synchronised: bool | None, tls: bool, severity: Severity
) -> None:
    installed = datetime(2025, 3, 1, tzinfo=UTC)
    snapshot = ClockSnapshot(datetime(year, 6, 1, tzinfo=UTC), installed, synchronised, tls)
    finding = only(check_clock(snapshot))
    assert finding.severity is severity
    assert ("certificate" in finding.text) is (tls and severity is not OK)


def test_a_chosen_model_is_called_so_and_why_a_choice_is_not_followed_is_a_warning() -> None:
    assert "chosen by edgeassist models use" in only(check_model(replace(MODEL, chosen=True))).text
    note, fine = check_model(replace(MODEL, note="the chosen model is not there"))
    assert (note.severity, note.text, fine.severity) == (WARNING, "the chosen model is not there", OK)
