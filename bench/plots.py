"""Plots of what a median hides: the distribution of latencies, memory over time.

The rule kept here: a plot and the table beside it are from the same samples. The library is in the
optional dependency group ``plots``; the same samples give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Sample
from bench.measurements import churn, latency, memory
from bench.records import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MB = 1e6


def draw(found: Mapping[str, Record], folder: Path) -> dict[str, Path]:
    """Replace the plots in the folder by those of the found records.

    Returns the plots by measurement. Raises ImportError where the library is not installed; the
    old plots are removed then, too, as they are from other samples.
    """
    for old in folder.glob("*.svg"):
        old.unlink()
    import matplotlib as mpl  # noqa: PLC0415 - optional: the dependency group `plots`

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice of the backend

    folder.mkdir(parents=True, exist_ok=True)
    drawn = {}
    with mpl.rc_context({"svg.hashsalt": "gati", "font.size": 9, "axes.grid": True}):
        for name, picture in PICTURES.items():
            if name not in found:
                continue
            figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
            picture(axes, found[name].samples)
            if axes.get_legend_handles_labels()[0]:
                axes.legend()
            drawn[name] = folder / f"{name}.svg"
            figure.savefig(drawn[name], metadata={"Date": None, "Creator": None})
            plt.close(figure)
    return drawn


def _latency(axes: Axes, samples: Sequence[Sample]) -> None:
    """The cumulative distribution of latencies, all rounds together."""
    for change, words in latency.CHANGES.items():
        times = [ms for sample in samples if sample["change"] == change for ms in sample["ms"]]
        if times:
            axes.ecdf(times, label=words)
    axes.axvline(latency.LIMIT_MS, linestyle=":", color="grey", label="target for p99")
    axes.set(xscale="log", xlabel="milliseconds", ylabel="share of changes")


def _churn(axes: Axes, samples: Sequence[Sample]) -> None:
    """Resident memory and tasks as handlers come and go."""
    for round_ in dict.fromkeys(sample["round"] for sample in samples):
        these = [sample for sample in samples if sample["round"] == round_]
        handlers = [sample["handlers"] for sample in these]
        axes.plot(handlers, [sample["rss"] / _MB for sample in these], marker=".", label="memory")
        tasks = [sample["tasks"] for sample in these]
        axes.plot(handlers, tasks, linestyle="--", label="asyncio tasks")
    axes.set(xlabel="handlers that came and went", ylabel="MB, tasks")
    axes.set_ylim(bottom=0)


def _memory(axes: Axes, samples: Sequence[Sample]) -> None:
    """Resident memory against the number of handlers, and the target."""
    handlers = [sample["handlers"] for sample in samples]
    axes.plot(handlers, [each["rss"] / _MB for each in samples], "o", label="after its start")
    axes.plot(handlers, [each["peak_rss"] / _MB for each in samples], "x", label="peak")
    ends = [0, max(handlers)]
    price = memory.HANDLER_LIMIT_KIB * 1024 / _MB
    limit = [memory.BASE_LIMIT_MB + price * end for end in ends]
    axes.plot(ends, limit, linestyle=":", color="grey", label="target")
    axes.set(xlabel="handlers", ylabel="MB")
    axes.set_ylim(bottom=0)


PICTURES: Mapping[str, Callable[[Axes, Sequence[Sample]], None]] = {
    latency.MEASUREMENT.name: _latency,
    memory.MEASUREMENT.name: _memory,
    churn.MEASUREMENT.name: _churn,
}
