"""The committed baseline: ratios that must not get worse by more than their tolerance. Pure."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from tests.benchmarks.figures import Spread

FILE = Path(__file__).parent / "baseline.json"


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What a ratio was when the baseline was taken."""

    value: float
    better: str
    """`higher` or `lower`."""
    tolerance: float
    """Share by which it may be worse, for the noise of a machine."""

    @property
    def limit(self) -> float:
        """The worst value that is no regression."""
        share = 1 - self.tolerance if self.better == "higher" else 1 + self.tolerance
        return self.value * share


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """The committed ratios, and how they came about."""

    note: str
    taken_on: str
    machine: str
    ratios: dict[str, Expected]


def read(path: Path = FILE) -> Baseline:
    """Return the committed baseline."""
    return msgspec.json.decode(path.read_bytes(), type=Baseline)


def write(baseline: Baseline, path: Path = FILE) -> None:
    """Replace the committed baseline."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(baseline)) + b"\n")


def renewed(
    before: Baseline, found: Mapping[str, Spread], *, taken_on: str, machine: str
) -> Baseline:
    """Return the baseline with the values found now; directions and tolerances stay."""
    ratios = {
        name: msgspec.structs.replace(each, value=round(found[name].median, 4))
        if name in found
        else each
        for name, each in before.ratios.items()
    }
    return msgspec.structs.replace(before, ratios=ratios, taken_on=taken_on, machine=machine)


def regressions(baseline: Baseline, found: Mapping[str, Spread]) -> Iterator[str]:
    """Yield a sentence for each ratio whose median is worse than its limit, or was not measured."""
    for name, expected in baseline.ratios.items():
        value = found.get(name)
        if value is None:
            yield f"{name}: not measured, {expected.value:,.3f} in the baseline"
            continue
        higher = expected.better == "higher"
        if value.median < expected.limit if higher else value.median > expected.limit:
            yield (
                f"{name}: {value.median:,.3f} ({value.low:,.3f}-{value.high:,.3f}), "
                f"{expected.value:,.3f} in the baseline, "
                f"{'at least' if higher else 'at most'} {expected.limit:,.3f} allowed"
            )
