"""What the bench is asked for, in words of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeassist.bench.plan import Peer, PeerKind, Plan, parse_peer, parse_scenarios
from edgeassist.bench.scenarios import Name
from edgeassist.cli.instrument import need
from edgeassist.errors import ConfigurationError, ModelError


def plan(**changes: Any) -> Plan:
    values = {"scenarios": (Name.SINGLE,), "prompt_tokens": 512, "max_tokens": 128, "runs": 5, "threads": 2}
    return Plan(**{**values, **changes})


REPOSITORY = Path(__file__).parents[2]


def test_the_context_is_the_daemons_own_or_what_is_asked_for_unless_a_prompt_needs_more() -> None:
    assert plan().context == 4096
    assert plan(slot_tokens=2048).context == 2048
    assert plan(slot_tokens=512).context > 1500
    assert plan(prompt_tokens=8000).context > 8128


def test_progress_counts_every_run_on_every_side() -> None:
    assert plan(baseline=False).steps == 1 + 5
    assert plan().steps == 1 + 10
    assert plan(peer=Peer(PeerKind.FIXED_THREADS), idle_s=3).steps == 1 + 15 + 1


def test_the_bare_loop_takes_part_in_single_only() -> None:
    assert plan(scenarios=(Name.SINGLE, Name.CANCEL), runs=1).steps == (1 + 2) + (1 + 1)


def test_scenarios_keep_their_order_and_all_means_each() -> None:
    assert parse_scenarios("cancel, Single") == (Name.SINGLE, Name.CANCEL)
    assert parse_scenarios("all") == tuple(Name)


def test_each_scenario_has_figures_with_names_of_their_own() -> None:
    chosen = plan(scenarios=tuple(Name)).chosen
    assert [scenario.name for scenario in chosen] == list(Name)
    for scenario in chosen:
        names = [figure.name for figure in scenario.figures]
        assert names
        assert len(names) == len(set(names))


@pytest.mark.parametrize("text", ["fan", "single,", "all,single"])
def test_an_unknown_scenario_is_told_with_the_known_ones(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--scenario: .* is none of: single, fan-in, .*, all"):
        parse_scenarios(text)


def test_a_peer_is_a_kind_and_maybe_a_path(tmp_path: Path) -> None:
    checkout = parse_peer(f"checkout={REPOSITORY}", is_program=lambda _: False)
    assert checkout == Peer(PeerKind.CHECKOUT, REPOSITORY)
    with pytest.raises(ConfigurationError, match="is no checkout of EdgeAssist"):
        parse_peer(f"checkout={tmp_path}", is_program=lambda _: True)
    peer = parse_peer("llama-server=bin/server", is_program=lambda _: True)
    assert peer == Peer(PeerKind.LLAMA_SERVER, Path("bin/server"))
    assert parse_peer("fixed-threads", is_program=lambda _: False) == Peer(PeerKind.FIXED_THREADS)


@pytest.mark.parametrize(
    "text", ["bin/server", "vllm=bin/server", "llama-server=", "llama-server", "checkout="]
)
def test_a_peer_of_no_known_kind_is_told_with_the_known_one(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is none of llama-server=PATH, checkout=FOLDER and fixed"):
        parse_peer(text, is_program=lambda _: True)


def test_a_peer_that_can_not_be_run_is_told_with_where_to_read_on() -> None:
    with pytest.raises(ConfigurationError, match=r"bin/server is no program .* docs/performance.md"):
        parse_peer("llama-server=bin/server", is_program=lambda _: False)


def test_what_is_not_installed_is_told_with_how_to_install_it() -> None:
    need("json", "json", "bench")
    with pytest.raises(ModelError, match=r"httpx, .* is not installed: pip install 'edgeassist\[bench\]'"):
        need("no_such_module", "httpx, which --peer needs,", "bench")
