"""A plot of what came in on each day of an experiment, by arm."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from blended.experiments.plot_style import WIDTH, Document, legend, looks

_PANELS = {"joiners": "Users who joined", "records": "Records of responses"}


def calendar(document: Document) -> Figure | None:
    """Joiners and records on each day, a line for each arm."""
    rows = document["calendar"]
    if not rows:
        return None
    figure = Figure((WIDTH, 3.9))
    panels = figure.subplots(len(_PANELS), sharex=True)
    days = list(range(len(rows)))
    for axes, (kind, title) in zip(panels, _PANELS.items(), strict=True):
        for arm, look in looks(document).items():
            counts = [row[kind][arm] for row in rows]
            axes.plot(days, counts, ms=3, lw=1.1, gid=f"{kind}-{arm}", **look)
        axes.set_ylim(bottom=0)
        axes.set_title(title)
    panels[-1].set_xlabel("Days since the start")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(figure, document, list(document["arms"]))
    return figure
