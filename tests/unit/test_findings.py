"""What is told of an examination stays within one message."""

import pytest
from pydantic import ValidationError

from edgeassist.protocol.findings import MAX_FINDINGS, MAX_TEXT, Examination


def examination(*severities: str, text: str = "fine") -> Examination:
    findings = [{"severity": each, "area": "a", "text": text, "remedy": None} for each in severities]
    return Examination.model_validate({"version": "1", "worst": "ok", "findings": findings})


def test_few_findings_are_told_as_they_are() -> None:
    few = examination("ok", "problem", "ok")
    assert few.bounded() == few


def test_of_too_many_the_least_bad_are_left_out_and_the_others_keep_their_order() -> None:
    many = examination(*["ok"] * MAX_FINDINGS, "warning", "problem")
    told = many.bounded()
    assert len(told.findings) == MAX_FINDINGS
    assert [each.severity for each in told.findings[-2:]] == ["warning", "problem"]
    assert told.left_out == 2


def test_a_text_that_is_too_long_is_cut() -> None:
    (finding,) = examination("ok", text="x" * 5000).bounded().findings
    assert len(finding.text) == MAX_TEXT
    assert finding.text.endswith("x…")


def test_what_is_no_examination_is_refused() -> None:
    with pytest.raises(ValidationError):
        examination("terrible")
