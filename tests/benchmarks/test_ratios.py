from pathlib import Path

import pytest

from tests.benchmarks import baseline
from tests.benchmarks.__main__ import CHECKED, choose
from tests.benchmarks.baseline import Baseline, Expected, regressions, renewed
from tests.benchmarks.cells import Sent
from tests.benchmarks.figures import Spread
from tests.benchmarks.ratios import RATIOS, Ratio, reckon, spreads
from tests.benchmarks.rows import ROWS
from tests.benchmarks.verify import missing

HALF = Ratio(name="half", says="", over=("a", "x"), under=("b", "x"), at_least=0.5)
BEFORE = Baseline(
    note="",
    taken_on="2026-01-01",
    machine="",
    ratios={
        "speed": Expected(value=1.0, better="higher", tolerance=0.2),
        "wait": Expected(value=10.0, better="lower", tolerance=0.5),
    },
)


def flat(value: float) -> Spread:
    """Return the spread of a figure that never varied."""
    return Spread(value, value, value, 3)


def test_a_ratio_is_reckoned_round_by_round() -> None:
    """A slow minute falls on both of its figures, and must cancel out."""
    rounds = [{"a": {"x": 10.0}, "b": {"x": 20.0}}, {"a": {"x": 1.0}, "b": {"x": 2.0}}]
    assert reckon(rounds, [HALF]) == {"half": Spread(0.5, 0.5, 0.5, 2)}


def test_a_ratio_without_its_figures_is_left_out() -> None:
    """A run of chosen rows has only some of them; a zero would look like a measurement."""
    assert reckon([{"a": {"x": 1.0}}, {"a": {"x": 1.0}, "b": {"x": 0.0}}], [HALF]) == {}


def test_what_is_asked_of_a_ratio_has_a_direction() -> None:
    """Throughput must not fall, and latency must not rise."""
    assert (HALF.met(0.5), HALF.met(0.49)) == (True, False)
    wait = Ratio(name="", says="", over=("a", "x"), at_most=3)
    assert (wait.met(3.0), wait.met(3.1), wait.higher_is_better) == (True, False, False)
    assert Ratio(name="", says="", over=("a", "x")).met(0.0) is None


def test_rows_that_some_rounds_lack_are_spread_over_the_others() -> None:
    """A figure is as good as the rounds it has."""
    found = spreads([{"a": {"x": 1.0}}, {"a": {"x": 3.0}, "b": {"y": 2.0}}])
    assert found == {"a": {"x": Spread(2.0, 1.0, 3.0, 2)}, "b": {"y": Spread(2.0, 2.0, 2.0, 1)}}


def test_within_its_tolerance_a_ratio_has_not_regressed() -> None:
    """A shared machine is never the same twice."""
    assert list(regressions(BEFORE, {"speed": flat(0.8), "wait": flat(15.0)})) == []


def test_beyond_its_tolerance_a_ratio_has_regressed() -> None:
    """The sentence names the ratio and how far it may go."""
    worse = list(regressions(BEFORE, {"speed": flat(0.79), "wait": flat(15.1)}))
    assert [each.partition(":")[0] for each in worse] == ["speed", "wait"]
    assert "at least 0.800" in worse[0]
    assert "at most 15.000" in worse[1]


def test_a_ratio_that_was_not_measured_has_regressed() -> None:
    """Or a row that breaks would pass the check for ever."""
    assert list(regressions(BEFORE, {"speed": flat(1.0)})) == [
        "wait: not measured, 10.000 in the baseline"
    ]


def test_renewing_replaces_values_and_nothing_else(tmp_path: Path) -> None:
    """Tolerances are a decision, and not a measurement."""
    after = renewed(BEFORE, {"speed": flat(2.0)}, taken_on="2026-02-02", machine="m")
    assert after.ratios["speed"] == Expected(value=2.0, better="higher", tolerance=0.2)
    assert after.ratios["wait"] == BEFORE.ratios["wait"]
    baseline.write(after, tmp_path / "baseline.json")
    assert baseline.read(tmp_path / "baseline.json") == after


def test_the_committed_baseline_names_ratios_of_rows_that_are_checked() -> None:
    """A ratio whose row the check does not run would fail every check."""
    known = {ratio.name: ratio for ratio in RATIOS}
    for name, expected in baseline.read().ratios.items():
        ratio = known[name]
        rows = {figure[0] for figure in (ratio.over, ratio.under) if figure is not None}
        assert rows <= set(CHECKED), name
        assert (expected.better == "higher") == ratio.higher_is_better, name


def test_every_ratio_names_rows_that_exist() -> None:
    """A row that was renamed would silently lose its ratios."""
    names = {row.name for row in ROWS}
    for ratio in RATIOS:
        assert {f[0] for f in (ratio.over, ratio.under) if f is not None} <= names, ratio.name


def test_chosen_rows_bring_those_they_build_on() -> None:
    """An open loop at half of saturation needs to know the saturation, measured before it."""
    assert [row.name for row in choose("open_50", quick=False)] == ["uniform", "open_50"]


@pytest.mark.parametrize(
    ("stored", "wrong"),
    [((3, 7), 0), ((2, 7), 1), ((4, 7), 1), ((3, 6), 1), (None, 1)],
)
def test_an_acknowledged_order_that_is_not_stored_once_is_found(
    stored: tuple[int, int] | None, wrong: int
) -> None:
    """Throughput of orders that were lost, or stored twice, is worth nothing."""
    found = {} if stored is None else {"00000001": stored}
    assert len(list(missing([Sent("00000001", 3, 7)], found))) == wrong
