"""The page in a browser: no error in its console, and controls that move its totals."""

import json
import re
import shutil
import subprocess

import pytest

from energy import page, report
from model.configurations import mca_mlp

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine: the page was not opened in a browser"
)

#: Moves every control as a reader would and leaves what the page then shows in one element.
DRIVE = """
<script>
(() => {
  const seen = [];
  const shown = id => document.getElementById(id).textContent;
  const note = what => seen.push({what, total: shown("total"), change: shown("change")});
  const move = (id, end) => {
    const input = document.getElementById(id);
    input.value = end === "low" ? input.min : input.max;
    input.dispatchEvent(new Event("input", {bubbles: true}));
    note(id + " " + end);
  };
  note("start");
  for (const name of ["node", "lanes", "adc", "chi", "updates"]) {
    move("i-" + name, "low");
    move("i-" + name, "high");
    document.getElementById("reset").click();
    note("reset");
  }
  const gpu = document.getElementById("i-gpu");
  gpu.value = 0;
  gpu.dispatchEvent(new Event("input"));
  const result = document.createElement("pre");
  result.id = "seen";
  result.textContent = JSON.stringify({
    seen,
    gpu: shown("gpu-w"),
    bars: document.querySelectorAll("#live .bar").length,
    wide: document.documentElement.scrollWidth - window.innerWidth,
  });
  document.body.append(result);
})();
</script>
"""


@pytest.fixture(scope="module")
def browser(activity, inputs, tmp_path_factory):
    """What the page showed while its controls moved, and what it wrote to the console."""
    folder = tmp_path_factory.mktemp("a page")
    words = {4: 50, 8: 36, 16: 27, 32: 17, 64: 9, 128: 5}
    html = page.to_html(report.build(mca_mlp, activity, inputs=inputs, words=words))
    path = folder / "report.html"
    path.write_text(html.replace("</body>", f"{DRIVE}</body>"), encoding="utf-8")
    run = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--enable-logging=stderr",
            "--window-size=390,844",
            f"--user-data-dir={folder / 'profile'}",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = re.search(r'<pre id="seen">(.*?)</pre>', run.stdout, flags=re.DOTALL)
    assert found, run.stderr[-2000:]
    console = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(found[1].replace("&amp;", "&")), console


def energy(text):
    number, unit = text.split()
    return float(number) * {"fJ": 1e-15, "pJ": 1e-12, "nJ": 1e-9, "µJ": 1e-6}[unit]


def test_console_is_silent(browser):
    assert browser[1] == []


def test_controls_move_the_total(browser):
    seen = browser[0]["seen"]
    totals = {each["what"]: energy(each["total"]) for each in seen}
    start = totals["start"]
    assert all(energy(each["total"]) == start for each in seen if each["what"] == "reset")
    assert all("as it ran" in each["change"] for each in seen if each["what"] == "reset")
    # The node's slider goes from the oldest to the newest.
    assert totals["i-node low"] > start > totals["i-node high"]
    for name in ("lanes", "adc", "chi"):
        assert totals[f"i-{name} low"] != totals[f"i-{name} high"]
    assert totals["i-updates low"] < start < totals["i-updates high"]


def test_gpu_at_full_use(browser):
    assert float(browser[0]["gpu"]) == pytest.approx(125e3 / 300, rel=5e-3)


def test_fits_a_phone(browser):
    assert browser[0]["bars"] == 9
    assert browser[0]["wide"] <= 0
