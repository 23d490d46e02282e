import signal

import pytest

from edgeassist.supervision.process import explain_exit
from edgeassist.supervision.spawning import environment


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (70, "exit status 70"),
        (-signal.SIGSEGV, "signal SIGSEGV"),
        (-signal.SIGKILL, "by the kernel for want of memory"),
        (-signal.SIGILL, "an instruction that this CPU lacks"),
        (-40, "exit status -40"),
    ],
)
def test_an_exit_status_is_explained_in_words(status: int, words: str) -> None:
    assert words in explain_exit(status, [])


def test_the_last_output_of_an_engine_follows_its_exit_status() -> None:
    assert explain_exit(70, ["loading", "bad file"]) == (
        "the engine ended with exit status 70: loading | bad file"
    )


def test_an_engine_gets_the_environment_without_settings_ggmls_debugger_and_numpys_threads() -> None:
    ours = {"HOME": "/root", "EDGEASSIST_MQTT__PASSWORD": "secret", "OMP_WAIT_POLICY": "passive"}
    theirs = {"HOME": "/root", "OMP_WAIT_POLICY": "passive", "GGML_NO_BACKTRACE": "1"}
    assert environment(ours) == {**theirs, "OPENBLAS_NUM_THREADS": "1"}
    assert environment({"OPENBLAS_NUM_THREADS": "2"})["OPENBLAS_NUM_THREADS"] == "2"
