import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from energy import markdown, page, report
from energy.published import cells
from model.configurations import mca_mlp, tiny_mca


@pytest.fixture(scope="module")
def data(activity, inputs):
    words = {4: 50, 8: 36, 16: 27, 32: 17, 64: 9, 128: 5}
    run = {"label": "run", "accuracy": 0.978, "activity": activity, "config": mca_mlp}
    return report.build(mca_mlp, activity, inputs=inputs, words=words, trade_off=[run])


@pytest.fixture(scope="module")
def html(data):
    return page.to_html(data)


def test_is_plain_data(data):
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert {"tables", "plots", "headline", "notes", "explorer"} <= data.keys()


def test_every_published_cell_is_in_the_table(data):
    printed = [cell for cell in cells().values() if cell.where == "Table 1"]
    shown = {
        (cell["design"], cell["unit"], cell["phase"], cell["quantity"]): cell["published"]
        for cell in data["tables"]["table1"]
    }
    for cell in printed:
        assert shown[cell.design, cell.unit, cell.phase, cell.quantity] == cell.value


def test_ratios_are_ours_over_theirs(data):
    for cell in data["tables"]["table1"]:
        for figure in cell["ours"].values():
            assert figure["low"] <= figure["value"] <= figure["high"]
            assert 0 <= figure["assumed"] <= 1
            if cell["published"] and figure["value"]:
                assert figure["ratio"] == pytest.approx(figure["value"] / cell["published"])
            else:
                assert figure["ratio"] is None


def test_terms_add_up_to_the_headline(data):
    for preset, key in (("bottom_up", "energy_j"), ("paper", "paper_accounting_j")):
        terms = [term for term in data["tables"]["terms"] if term["estimate"] == preset]
        assert sum(term["energy_j"] for term in terms) == pytest.approx(
            data["headline"][key]["value"]
        )


def test_every_term_leads_to_a_row_and_a_source(data):
    rows = {row["id"]: row for row in data["tables"]["rows"]}
    sources = {source["key"] for source in data["tables"]["sources"]}
    for term in data["tables"]["terms"]:
        assert rows[term["row"]]["source"] in sources


def test_synthesis_replaces_the_estimate(activity, data):
    found = {"library": "osu018", "cells": 10, "area_um2": 5.0, "flip_flops": 300}
    found["flip_flops_free"] = 100
    with_gates = report.build(mca_mlp, activity, synthesis=found)
    clocked = [
        term
        for term in with_gates["tables"]["terms"]
        if term["estimate"] == "bottom_up" and term["action"] == "clock"
    ]
    assert sum(term["count"] for term in clocked) == pytest.approx(100 * 485)
    assert {row["figure"] for row in with_gates["tables"]["gates"]} >= found.keys()
    assert "osu018" in page.to_html(with_gates)
    assert data["tables"]["gates"] == []


def test_ten_constants(data):
    assert len(data["tables"]["sensitivity"]) == 10


def test_another_network_is_not_compared(activity):
    record = replace(activity, config="tiny_mca")
    data = report.build(tiny_mca, record)
    assert all(cell["published"] is None for cell in data["tables"]["table1"])
    assert data["headline"]["published_j"] is None
    assert "upper bounds" in " ".join(data["notes"])
    assert "tiny_mca" in page.to_html(data)
    assert "tiny_mca" in markdown.to_markdown(data)


class Anchors(HTMLParser):
    """Collects ids, links inside the page, and anything that would load from elsewhere."""

    def __init__(self):
        super().__init__()
        self.ids, self.links, self.loads = [], [], []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if "id" in given:
            self.ids.append(given["id"])
        if given.get("href", "").startswith("#"):
            self.links.append(given["href"][1:])
        if tag in ("script", "img", "iframe") and "src" in given:
            self.loads.append(given["src"])
        if tag == "link" and not given["href"].startswith("data:"):
            self.loads.append(given["href"])


def test_page_is_self_contained_and_its_links_lead_somewhere(html):
    anchors = Anchors()
    anchors.feed(html)
    assert anchors.loads == []
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", html)
    assert len(anchors.ids) == len(set(anchors.ids))
    assert set(anchors.links) <= set(anchors.ids)
    assert len(anchors.links) > 100


def test_page_escapes_what_it_is_given(activity, inputs):
    hostile = replace(activity, source="<script>alert(1)</script>")
    html = page.to_html(report.build(tiny_mca, replace(hostile, config="tiny_mca")))
    assert "<script>alert" not in html


def test_page_knows_light_and_dark_and_phones(html):
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html
    assert html.count("<svg") == 6


def test_markdown_tables_are_regular(data):
    text = markdown.to_markdown(data)
    assert "| Computational memory (this unit) | total | energy | total | 83.2 nJ |" in text
    for block in re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_same_input_same_report(data, activity, inputs):
    words = {4: 50, 8: 36, 16: 27, 32: 17, 64: 9, 128: 5}
    run = {"label": "run", "accuracy": 0.978, "activity": activity, "config": mca_mlp}
    again = report.build(mca_mlp, activity, inputs=inputs, words=words, trade_off=[run])
    assert again == data
