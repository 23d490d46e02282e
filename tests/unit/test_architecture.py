import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

import edgeassist

PACKAGE = Path(edgeassist.__file__).parent
MODULES = {
    ".".join(["edgeassist", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
HEAVY = ("llama_cpp", "llguidance", "onnxruntime_genai", "paho")
# Sans-I/O: no clock, thread, process, network or heavy library; time is passed in.
SANS_IO = [
    f"{package}{name}"
    for package, names in {
        "": "errors harmless",
        "former.": "remains",
        "console.": "config http",
        "fleet.": "adoption boxes envelope known load ranking routing survey",
        "client.": "answers decision formats presence reading result retrying tools whom",
        "protocol.": "calibration capabilities commands constraints decisions events filters findings "
        "fitting fleet listing outcomes packets requests state tools topics turns values watches",
        "serving.": "admission caller conversation deciding endings figures job journal kinds listing policy "
        "prompting record recovery replay request returning scores sink stream streams telemetry",
        "journal.": "changes ledger",
        "watching.": "checks document gone inputs options picking settling watch",
        "gateways.mqtt.": "destination ears ends intake origin replies unheard",
        "gateways.fleet.": "answering held joining links orientation standing telling",
        "gateways.homeassistant.": "endings entities topics watched",
        "engine.": "messages nesting pacing prefill scheduler sequence signals sizing speculation step",
        "engine.kv.": "prefixes reach stops world",
        "engine.prompting.": "calling calling_probes documents escapes holds ours parser probes shield "
        "switches text thoughts transcripts turns",
        "engine.prompting.calls.": "cursor finding form jsons lark pairs parameters reading tags unmarked "
        "words",
        "device.": "cores",
        "evaluation.": "cases fit generation lines metrics report variants",
        "evaluation.quality.": "checks names numerals reading report tasks",
        "models.": "calibration fit kinds recommend",
        "doctor.": "finding",
        "doctor.checks.": "background broker clock configuration daemon fleet model power processor service "
        "space watches",
        "settings.": "reload",
        "sight.": "box reading series words",
        "supervision.": "last_words",
        "top.": "keys overview page painter rows sparks",
        "tuning.": "options plan report search verdict",
    }.items()
    for name in names.split()
]
# What a package may import of its own; a name stands for all below it.
ALLOWED = {
    f"edgeassist.{package}": names.split()
    for package, names in {
        "errors": "",
        "protocol": "protocol errors",
        "device": "device errors",
        "models": "models protocol.calibration errors",
        "trial_models": "trial_models models errors",
        "engine": "engine models.files models.fit models.kv errors",
        "watching": "watching protocol errors",
        "settings": "settings console.config watching protocol errors",
        "console": "console errors",
        "broker": "broker protocol errors",
        "client": "client broker protocol errors",
        "harmless": "",
        "sight": "sight client broker protocol errors",
        "top": "top sight harmless protocol errors",
        "evaluation": "evaluation protocol errors",
        "testing": "testing client sandbox protocol errors",
        "serving": "serving protocol engine.messages errors",
        "fleet": "fleet protocol errors",
        "journal": "journal serving.caller serving.journal errors",
        "former": "former gateways.homeassistant.topics protocol errors",
        "supervision": "supervision engine.messages device errors",
        "gateways": "gateways console fleet former serving watching protocol errors",
        "doctor.checks": "doctor.checks doctor.finding fleet protocol former.remains models.fit device "
        "errors",
        "doctor.probes": "doctor fleet sight.reading wiring tuning.source settings former broker protocol "
        "models device errors",
        "tuning": "tuning supervision.process engine.messages settings folders models device errors",
    }.items()
}
MAY_READ_SETTINGS = (
    "edgeassist.settings",
    "edgeassist.cli",
    "edgeassist.bench",
    "edgeassist.doctor.examination",
    "edgeassist.doctor.probes.configuration",
    "edgeassist.daemon.app",
    "edgeassist.daemon.control",
    "edgeassist.daemon.fleet",
    "edgeassist.daemon.wiring",
    "edgeassist.configured",
    "edgeassist.loads",
    "edgeassist.tuning.source",
    "edgeassist.wiring",
)


def below(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@cache
def imports(module: str) -> frozenset[str]:
    """Return what a module's source imports, wherever in it: modules, and what may be one."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            source = str(node.module)
            names = [f"{source}.{alias.name}" for alias in node.names]
            found |= {source} - set(MODULES)
            found |= {name if name in MODULES else source for name in names}
    return frozenset(found)


def loaded_by(module: str, names: Iterable[str]) -> set[str]:
    """Return which of those are there when a process has imported that module."""
    program = f"import json, sys, {module}; print(json.dumps([*sys.modules]))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(ended.stdout)) & set(names)


def importers(library: str) -> set[str]:
    return {module for module in MODULES if any(below(name, library) for name in imports(module))}


def own_imports(module: str) -> set[str]:
    """Return what a module imports of ours, without the version that the root holds."""
    return {name for name in imports(module) if below(name, "edgeassist")} - {"edgeassist"}


def test_all_modules_are_looked_at() -> None:
    assert {f"edgeassist.{name}" for name in SANS_IO} <= set(MODULES)
    assert set(ALLOWED) <= set(MODULES)
    assert own_imports("edgeassist.engine.backends.loading") >= {
        "edgeassist.errors",
        "edgeassist.engine.messages",
        "edgeassist.engine.backends.llama.loading",
    }


def test_no_sans_io_module_loads_a_heavy_library() -> None:
    # The package `client` offers all it has, and so brings paho with any module of it.
    names = [f"edgeassist.{name}" for name in SANS_IO if not name.startswith("client.")]
    program = (
        "import importlib, sys\n"
        f"for module in {names!r}:\n"
        "    importlib.import_module(module)\n"
        f"    heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "    assert not heavy, f'{module} loads {heavy}'\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


# Each costs a start a twentieth of a second of a PC, or more, and on a small box some tenths.
@pytest.mark.parametrize(
    ("module", "unused"),
    [
        ("edgeassist.cli.main", "asyncio edgeassist.settings numpy pydantic rich"),
        ("edgeassist.cli.run", "asyncio edgeassist.engine msgspec numpy psutil pydantic rich"),
        ("edgeassist.daemon.app", "edgeassist.gateways.fleet jinja2 jsonpath numpy rich"),
        ("edgeassist.cli.ask", "edgeassist.serving edgeassist.supervision numpy psutil rich"),
        ("edgeassist.cli.decide", "edgeassist.serving edgeassist.supervision numpy psutil rich"),
        ("edgeassist.cli.status", "edgeassist.serving edgeassist.supervision numpy psutil"),
        ("edgeassist.engine.__main__", "asyncio jinja2 llguidance numpy pydantic"),
        ("edgeassist.engine.backends.scripted", "asyncio jinja2 llguidance numpy pydantic"),
    ],
)
def test_a_start_loads_nothing_that_it_has_no_use_for(module: str, unused: str) -> None:
    assert loaded_by(module, unused.split()) == set()


def test_the_client_needs_no_package_but_pahos_and_pydantics() -> None:
    program = (
        "import sys, edgeassist.client\n"
        "ours = {'daemon', 'engine', 'serving', 'gateways', 'settings', 'wiring', 'cli', 'supervision'}\n"
        "loaded = {'.'.join(name.split('.')[:2]) for name in sys.modules}\n"
        "others = {name.partition('.')[0] for name in sys.modules if name.islower()} & {others!r}\n"
        "sys.exit(', '.join(sorted(loaded & {'edgeassist.' + each for each in ours} | others)) or None)"
    )
    others = {"jinja2", "llama_cpp", "msgspec", "numpy", "platformdirs", "psutil", "pydantic_settings"}
    others |= {"pytest", "rich", "systemd", "typer"}
    program = program.replace("{others!r}", repr(others))
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_only_the_bench_makes_trial_models() -> None:
    users = importers("edgeassist.trial_models")
    assert users
    assert all(below(module, "edgeassist.bench", "edgeassist.trial_models") for module in users)


def test_no_command_loads_the_packages_of_trial_models_at_its_start() -> None:
    program = (
        "import sys, edgeassist.cli.main, edgeassist.bench.run, edgeassist.bench.comparison\n"
        "sys.exit(', '.join(name for name in ('gguf', 'onnx') if name in sys.modules) or None)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_scheduler_imports_nothing_but_the_standard_library_and_the_errors() -> None:
    names = ("scheduler", "sequence", "step", "pacing", "prefill", "speculation", "prompting.text")
    cores = {f"edgeassist.engine.{name}" for name in (*names, "kv.prefixes", "kv.reach", "kv.world")}
    for module in cores | {"edgeassist.errors"}:
        others = {name.partition(".")[0] for name in imports(module)} - sys.stdlib_module_names
        assert others <= {"edgeassist"}
        assert own_imports(module) <= {"edgeassist.errors", *cores}


@pytest.mark.parametrize(
    ("library", "modules"),
    [
        ("llama_cpp", {"edgeassist.engine.backends.llama.*", "edgeassist.bench.bare"}),
        ("onnxruntime_genai", {"edgeassist.engine.backends.ortgenai.backend", "edgeassist.bench.bare_onnx"}),
        ("llguidance", {"edgeassist.engine.constraints.*"}),
        ("onnx", {"edgeassist.trial_models.onnx_graph"}),
        (
            "paho",
            {f"edgeassist.broker.{name}" for name in ("client", "connection", "probe", "sender", "wire")},
        ),
        ("systemd", {"edgeassist.daemon.systemd"}),
        ("jinja2", {"edgeassist.engine.prompting.template"}),
        ("httpx", {"edgeassist.bench.server"}),
        ("sqlite3", {"edgeassist.journal.*"}),
        ("jsonpath", {"edgeassist.watching.picking"}),
        ("pytest", {"edgeassist.testing.fixtures"}),
        ("matplotlib", {"edgeassist.bench.picture"}),
    ],
)
def test_a_heavy_library_has_one_room(library: str, modules: set[str]) -> None:
    assert all(any(fnmatch(module, known) for known in modules) for module in importers(library))


def test_only_the_settings_read_pydantic_settings() -> None:
    readers = importers("pydantic_settings")
    assert readers
    assert all(below(module, "edgeassist.settings") for module in readers)


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_stands_below_it(package: str) -> None:
    allowed = [f"edgeassist.{name}" for name in ALLOWED[package]]
    for module in MODULES:
        if below(module, package):
            wrong = {name for name in own_imports(module) if not below(name, *allowed)}
            assert wrong == set(), f"{module} must not import {wrong}"


def test_nothing_but_the_engine_imports_its_inside() -> None:
    for module in MODULES:
        if not below(module, "edgeassist.engine"):
            engine = {name for name in own_imports(module) if below(name, "edgeassist.engine")}
            assert engine <= {"edgeassist.engine.messages"}, module


def test_commands_do_not_import_the_daemon() -> None:
    for module in MODULES:
        if below(module, "edgeassist.cli", "edgeassist.doctor", "edgeassist.bench", "edgeassist.wiring"):
            wrong = {name for name in own_imports(module) if below(name, "edgeassist.daemon")}
            allowed = (
                {"edgeassist.daemon.app", "edgeassist.daemon.logs"}
                if module == "edgeassist.cli.run"
                else set()
            )
            assert wrong <= allowed, module


def test_commands_print_by_a_console_on_which_no_text_is_a_command() -> None:
    bare = re.compile(r"^\s*from rich\.console import .*\bConsole\b", re.MULTILINE)
    users = {module for module, path in MODULES.items() if bare.search(path.read_text())}
    assert {module for module in users if below(module, "edgeassist.cli")} == {"edgeassist.cli.consoles"}


def test_the_contract_knows_no_home_assistant() -> None:
    for module, path in MODULES.items():
        if below(module, "edgeassist.protocol"):
            assert not re.search("home.?assistant", path.read_text(), re.IGNORECASE), module


def test_the_daemon_knows_no_command_and_no_trial() -> None:
    for module in MODULES:
        if below(module, "edgeassist.daemon"):
            above = ("cli", "bench", "client", "sandbox", "doctor", "testing", "trial_models")
            wrong = {
                name for name in own_imports(module) if below(name, *(f"edgeassist.{each}" for each in above))
            }
            assert not wrong, module


def test_the_package_knows_no_script() -> None:
    for module in MODULES:
        assert not [name for name in imports(module) if below(name, "scripts")], module


def test_only_commands_trials_and_the_daemons_root_know_the_settings() -> None:
    for module in importers("edgeassist.settings"):
        assert below(module, *MAY_READ_SETTINGS), module


def test_no_module_imports_itself_over_others() -> None:
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        assert module not in path, " → ".join([*path, module])
        if module not in done:
            for name in sorted(own_imports(module) & set(MODULES)):
                visit(name, [*path, module])
            done.add(module)

    for module in MODULES:
        visit(module, [])
    assert done == set(MODULES)


@pytest.mark.parametrize("module", SANS_IO)
def test_a_sans_io_module_knows_no_clock_thread_process_or_network(module: str) -> None:
    impure = ("time", "threading", "asyncio", "subprocess", "multiprocessing", "socket")
    assert not {name for name in imports(f"edgeassist.{module}") if below(name, *impure)}
