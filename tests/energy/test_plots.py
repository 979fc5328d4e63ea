from xml.etree import ElementTree

from energy.plots import Bar, Point, bars, ladder, scatter


def shapes(svg, tag):
    return [node for node in ElementTree.fromstring(svg).iter() if node.tag == tag]


def test_bars_are_to_scale():
    svg = bars(
        [
            Bar(label="one & two", parts=[("a", 30, 0), ("b", 10, 1)]),
            Bar(label="zero", parts=[("a", 0, 0)]),
        ],
        "nJ",
        "title <1>",
    )
    first, second = shapes(svg, "rect")
    # A gap of 0.8 parts neighbours.
    assert abs((float(first.get("width")) + 0.8) / (float(second.get("width")) + 0.8) - 3) < 0.01
    assert first.get("class") == "c0"
    assert "one & two: a 30 nJ" in first[0].text


def test_ladder_meets_at_the_centre():
    svg = ladder([("row", 8, 15)], 10, "nJ", "title")
    below, above = shapes(svg, "rect")
    assert abs(float(below.get("x")) + float(below.get("width")) - float(above.get("x"))) < 0.02


def test_scatter_keeps_every_point_inside():
    points = [Point(x=x, y=97 + x, label=f"run {x}") for x in (0, 1, 2)]
    svg = scatter(points, "x", "y", "title", x_mark=1.5, y_mark=97.7)
    circles = shapes(svg, "circle")
    assert len(circles) == 3
    assert all(0 < float(circle.get("cx")) < 680 for circle in circles)
    assert scatter([Point(x=1, y=0, label="alone")], "x", "y", "title").startswith("<svg")
