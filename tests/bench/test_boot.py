"""The arithmetic of a boot: nothing is taken off twice, and nothing that was not seen."""

import math

from bench.boot import Boot, length, merged
from bench.figures import Figure, percentile, table


def boot(lines=(), started=None, looks=()):
    return Boot(100.0, 110.0, list(lines), started or {}, list(looks))


def look(at, answers=True):
    return {"at": at, "unit": "jicofo", "answers": answers}


def test_overlaps_count_once():
    assert merged([(3, 5), (1, 2), (4, 7)]) == [(1, 2), (3, 7)]
    assert length([(3, 5), (1, 2), (4, 7)]) == 5


def test_packages_and_services_are_taken_off_what_the_agent_took():
    told = boot(
        [(103.0, "`apt-get --yes install x` took 2000 ms"), (104.0, "`prosodyctl check config` took 500 ms"),
         (106.0, "`systemctl restart jicofo` took 1000 ms"), (110.0, "told the hook x: CONTINUE")],
        {"jicofo": 105.5}, [look(102.0), look(104.9, False), look(108.0)],
    )  # fmt: skip
    assert told.packages() == [(101.0, 103.0)]
    assert told.services() == [(105.0, 106.0), (105.5, 108.0)]
    assert told.own() == [
        (0.0, 1.0, "`apt-get --yes install x` took 2000 ms"),
        (3.0, 2.0, "`systemctl restart jicofo` took 1000 ms"),
        (8.0, 2.0, "told the hook x: CONTINUE"),
    ]


def test_a_service_that_was_never_away_or_never_there_takes_nothing_off():
    assert boot(started={"jicofo": 105.0}, looks=[look(102.0)]).services() == [(105.0, 105.0)]
    assert boot(started={"jicofo": 105.0}, looks=[look(102.0), look(107.0, False)]).services() == [(105.0, 105.0)]
    assert boot(started={"jicofo": 105.0}).services() == [(105.0, 105.0)]


def test_the_hundredth_slowest_of_ten_thousand_is_within_the_bar():
    assert percentile([1.0] * 99 + [9.0], 0.99) == 1.0
    assert percentile([1.0] * 98 + [9.0] * 2, 0.99) == 9.0
    assert percentile([1.0, math.inf], 0.99) == math.inf


def test_a_figure_that_is_not_a_number_is_missed():
    assert Figure("x", 1, math.nan).missed and Figure("x", 1, 1.01).missed and not Figure("x", 1, 1).missed
    assert table([Figure("size", 8, 7.181, "MiB")]).splitlines()[1].split() == "size ≤ 8 MiB 7.18 MiB ok".split()
