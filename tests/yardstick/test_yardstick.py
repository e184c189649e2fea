"""The figure and the table, from made-up meetings: python -m pytest tests/yardstick."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from yardstick import report
from yardstick.meetings import Attempt, Outage, outage
from yardstick.scenarios import Measured

HARM = 100.0


def meetings(pattern: str) -> list[Attempt]:
    """A meeting every two seconds from just before the harm on: `+` held, `-` failed."""
    return [Attempt(99 + 2 * n, 100 + 2 * n, sign == "+") for n, sign in enumerate(pattern)]


def test_outage_lasts_from_the_harm_to_the_first_of_a_row_of_meetings():
    found = outage(meetings("+" + "----" + "+++++"), HARM)
    assert (found.seconds, found.first_failure, found.failed) == (10.0, 1.0, 4)


def test_lone_success_is_not_the_end():
    assert outage(meetings("+" + "--+--" + "++++"), HARM).seconds is None
    assert outage(meetings("+" + "--+--" + "+++++"), HARM).seconds == 12.0


def test_harm_that_shows_late_counts_from_the_harm():
    assert outage(meetings("+" + "++++++" + "--" + "+++++"), HARM).seconds == 18.0


def test_no_failure_is_believed_after_a_while():
    assert outage(meetings("+" * 10), HARM).seconds is None
    assert outage(meetings("+" * 20), HARM).seconds == 0.0


def test_meetings_begun_before_the_harm_do_not_count():
    assert outage([Attempt(99, 130, False)], HARM).failed == 0


def test_answers_may_come_in_any_order():
    rows = meetings("+" + "---" + "+++++")
    assert outage(rows[::-1], HARM) == outage(rows, HARM)


def measured(seconds: float | None, zones: str = "aa") -> Measured:
    return Measured(Outage(seconds), f"eu-central-1{zones[0]}", f"eu-central-1{zones[1]}", False, 0.5)


def results(ours: list, theirs: list) -> dict:
    keys = ["instance", "killed", "hanging", "zone"]
    return {k: {"ours": o, "theirs": t} for k, o, t in zip(keys, ours, theirs, strict=True)}


GOOD = [measured(105.0), measured(30.0), measured(60.0), measured(100.0, "ab")]
THEIRS = [measured(100.0), measured(10.0), measured(None), measured(200.0, "ab")]


def test_table_says_seconds_zones_and_what_never_ended():
    text = report.table(results(GOOD, THEIRS), "ours", "theirs")
    assert "| **the bridge hangs** | not within 5 min | 60 s |" in text
    assert "| **the zone goes out** | 200 s, a → b | 100 s, a → b |" in text


def test_steps_of_a_replacement_end_where_the_next_begins():
    found = measured(100.0)
    found.timeline += [
        (14.0, "ours: i-1 unhealthy: in response to an EC2 health check"),
        (19.0, "ours: launching i-2 in eu-central-1a"), (21.0, "i-2 terminated"),
        (30.0, "ours: launching i-3 in eu-central-1b"), (50.0, "i-3 running"),
    ]
    assert list(found.steps().values()) == [14.0, 16.0, 20.0, 50.0]
    found.timeline.pop()
    assert found.steps() is None


def test_promises_are_kept_at_their_limits():
    assert report.missed(results(GOOD, THEIRS), "ours", "theirs") == []


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("seconds", [None, 400.0])
def test_each_promise_can_be_missed(number, seconds):
    ours = [*GOOD]
    ours[number] = measured(seconds)
    assert len(report.missed(results(ours, THEIRS), "ours", "theirs")) == 1


def test_document_keeps_all_but_the_table(tmp_path):
    file = tmp_path / "ha.md"
    file.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    for text in ("new", "newer"):
        report.refresh(file, text)
        assert file.read_text() == f"before\n{report.BEGIN}\n{text}\n{report.END}\nafter\n"
