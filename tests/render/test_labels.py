"""Names in figures cover neither a point nor one another, and belong to the nearest point."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from parabench.render.labels import PointLabel, place_labels

CLUSTER = [(0.50 + 0.01 * number, 0.50 + 0.008 * (number % 3)) for number in range(7)]


def drawn(points, size=(6.6, 4.6), lines=(), **changes):
    """Names of ``points`` placed in a figure, with the pixels of the points."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot(xlim=(0, 1), ylim=(0, 1))
    labels = []
    for number, (x, y) in enumerate(points):
        labels.append(PointLabel(f"softprompt-{number}", x, y, "black", "normal", **changes))
    place_labels(figure, axes, labels, lines)
    # Drawn once more, so that every name knows where it is.
    figure.draw_without_rendering()
    return list(axes.texts), axes.transData.transform(points)


def distance(box, point) -> float:
    return float(np.hypot(*(point - np.clip(point, box.min, box.max))))


@pytest.mark.parametrize("size", [(6.6, 4.6), (3.9, 3.9)])
def test_names_of_a_cluster_cover_nothing_and_are_led_to(size):
    names, points = drawn(CLUSTER, size)
    # The extent of a name that is led to holds its line too; here the text alone is looked at.
    texts = [Text.get_window_extent(name) for name in names]
    assert len(texts) == len(CLUSTER)
    assert not any(one.overlaps(other) for one, other in combinations(texts, 2))
    for place, text in enumerate(texts):
        assert not any(text.contains(*point) for point in points)
        is_led = names[place].arrow_patch is not None
        own = distance(text, points[place])
        others = [distance(text, point) for point in np.delete(points, place, axis=0)]
        assert is_led or own < min(others)


def test_a_name_alone_is_beside_its_point_and_needs_no_line():
    (name,), _ = drawn([(0.5, 0.5)])
    assert name.arrow_patch is None
    assert np.hypot(*name.get_position()) < 10


def test_optional_names_are_left_off_where_there_is_no_room():
    names, _ = drawn([(0.5, 0.5)] * 40, (2.0, 2.0), optional=True)
    assert 0 < len(names) < 40
    names, _ = drawn([(0.5, 0.5)] * 40, (2.0, 2.0))
    assert len(names) == 40


def test_a_name_avoids_a_line():
    # The first choice is the upper right, through which the line runs.
    line = ((0.5, 0.5), (0.9, 0.62))
    (name,), _ = drawn([(0.5, 0.5)], lines=[line])
    assert name.get_position()[0] < 0 or name.get_position()[1] < 0
