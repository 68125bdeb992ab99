"""The picture holds what happened, and is a well-formed document."""

import re
from datetime import timedelta
from xml.etree import ElementTree as ET

from autoscaler.simulation.traces import HOUR, play, trace, web
from hk3s_autoscaler.simulation.picture import draw

SVG = "{http://www.w3.org/2000/svg}"


def lines(text: str) -> list[list[tuple[float, float]]]:
    found = ET.fromstring(text).findall(f"{SVG}polyline")  # noqa: S314 - drawn here
    pairs = (re.findall(r"([\d.]+),([\d.]+)", line.attrib["points"]) for line in found)
    return [[(float(x), float(y)) for x, y in points] for points in pairs]


def test_three_panels_go_from_edge_to_edge_and_use_their_height() -> None:
    panels = lines(draw(play(trace(web((timedelta(), 20), (HOUR, 2)), hours=2))))

    assert len(panels) == 3
    for number, points in enumerate(panels):
        assert points[0][0] < 75
        assert points[-1][0] == 940
        top = 54 + number * 194
        assert min(y for _, y in points) == top
        assert max(y for _, y in points) <= top + 150


def test_a_wait_of_seconds_shows_in_a_week() -> None:
    waiting, _, _ = lines(draw(play(trace(web((timedelta(), 20)), hours=24, interval=2 * HOUR))))

    assert min(y for _, y in waiting) < max(y for _, y in waiting)


def test_nothing_at_all_can_be_drawn() -> None:
    panels = lines(draw(play(trace(web((timedelta(), 0)), hours=1))))

    assert all(len({y for _, y in points}) == 1 for points in panels)
