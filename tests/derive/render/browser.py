"""A page in a headless Chromium: what its boxes measure, at the width of a phone or of a desk.

Pages are shown in frames of that width; a script beside them, which no page of ours has, measures.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, _NAMES)), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: pages are not seen")

_SCRIPT = """
function measured(frame) {
  const page = frame.contentDocument, all = name => [...page.querySelectorAll(name)];
  const box = element => element.getBoundingClientRect();
  const scrolls = element => {
    const around = element.closest(".formula");
    return around !== null && getComputedStyle(around).overflowX === "auto";
  };
  const formulas = all("math").map(element => {
    const {width, height, right} = box(element);
    return {width, height, right, scrolls: scrolls(element), text: element.textContent};
  });
  const fractions = all("mfrac");
  const flat = fractions.filter(({children: [over, under]}) =>
    box(over).bottom > box(under).top + 1);
  const steps = all("details.step");
  for (const step of steps) step.open = false;
  const shown = all("details.step .formula math").filter(element => element.checkVisibility());
  const root = page.documentElement;
  return {
    formulas, steps: steps.length, flat: flat.length, fractions: fractions.length,
    shown: shown.length, width: root.clientWidth, contentWidth: root.scrollWidth,
    requests: frame.contentWindow.performance.getEntriesByType("resource").map(one => one.name),
  };
}
onload = () => {
  const frames = [...document.querySelectorAll("iframe")];
  result.textContent = JSON.stringify(frames.map(measured));
};
"""


@dataclass(frozen=True)
class Seen:
    """What the browser measured on one page."""

    measured: dict[str, Any]

    def faults(self) -> list[str]:
        """What a reader would stumble over."""
        page = self.measured
        found = [f"it asks for {address}" for address in page["requests"]]
        if page["contentWidth"] > page["width"]:
            found.append(f"the page is {page['contentWidth']} wide, the screen {page['width']}")
        if page["flat"]:
            found.append(f"{page['flat']} of {page['fractions']} fractions are not stacked")
        if page["shown"]:
            found.append(f"{page['shown']} formulas of closed steps are shown")
        for formula in page["formulas"]:
            if formula["width"] < 2 or formula["height"] < 5:
                found.append(f"empty: {formula['text']}")
            if formula["right"] > page["width"] and not formula["scrolls"]:
                found.append(f"too wide: {formula['text']}")
        return found


def look(pages: Sequence[tuple[str, int]], folder: Path) -> tuple[list[Seen], list[str]]:
    """Each page on a screen of so many pixels, and what the browser writes to its console."""
    assert BROWSER
    frames = "".join(
        f'<iframe width="{width}" height="800" srcdoc="{escape(page)}"></iframe>'
        for page, width in pages
    )
    harness = folder / "harness.html"
    harness.write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><style>iframe {{ border: 0 }}</style>'
        f'<pre id="result"></pre>{frames}<script>{_SCRIPT}</script>',
        encoding="utf-8",
    )
    quiet = ("--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--log-level=0")
    offline = "--host-resolver-rules=MAP * ~NOTFOUND"
    where = ("--window-size=1400,900", f"--user-data-dir={folder / 'profile'}")
    command = [BROWSER, *quiet, offline, *where, "--dump-dom", harness.as_uri()]
    done = subprocess.run(command, capture_output=True, check=True, timeout=120)
    found = re.search(r'<pre id="result">(.+?)</pre>', done.stdout.decode(), re.DOTALL)
    assert found, "the pages were not loaded"
    said = re.findall(r"CONSOLE.*", done.stderr.decode(errors="replace"))
    return [Seen(one) for one in json.loads(unescape(found[1]))], said
