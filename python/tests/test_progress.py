"""What is seen of a long call."""

import json
import re
import sys
from types import SimpleNamespace

import cellmill as cm
import pytest
from cellmill import _progress
from cellmill._progress import Watch


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes when it is told to."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(_progress, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


class Display:
    """IPython.display, as far as a bar uses it: what was shown, in order."""

    def __init__(self):
        self.shown = []

    def display(self, data, raw, display_id):
        assert raw
        assert display_id
        self.shown.append([data])
        return SimpleNamespace(update=lambda data, raw: self.shown[-1].append(data))


@pytest.fixture
def display(monkeypatch):
    fake = Display()
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    return fake


def play(watch, clock, total=1000):
    """One stage of ten seconds."""

    def tell(**event):
        watch(json.dumps(event))

    tell(event="stage_started", stage="totals <x>", total=total, unit="cells")
    for done in (250, 500):
        clock.seconds += 2.5
        tell(event="progress", stage="totals <x>", done=done, bytes_read=1)
        tell(event="progress", stage="totals <x>", done=done + 1, bytes_read=1)
    clock.seconds += 5
    tell(event="stage_finished", stage="totals <x>", seconds=10.0, bytes_read=2)


def test_terminal(capsys, clock):
    play(Watch("terminal", 1), clock)
    lines = capsys.readouterr().err.split("\r")[1:]
    assert [line.rstrip() for line in lines] == [
        "totals <x>: 25 %, 100 cells/s, 7.5 s left",
        "totals <x>: 50 %, 100 cells/s, 5.0 s left",
        "totals <x>: 10 s, 100 cells/s",
    ]
    assert len(lines[2].rstrip("\n")) == len(lines[1])
    assert lines[2].endswith("\n")


def test_a_total_that_is_not_known(capsys, clock):
    play(Watch("terminal", 1), clock, total=0)
    text = capsys.readouterr().err
    assert "totals <x>: 250 cells" in text
    assert "%" not in text


def test_notebook(capsys, clock, display):
    watch = Watch("notebook", 1)
    play(watch, clock)
    play(watch, clock, total=0)
    first, second = display.shown
    assert [d["text/plain"] for d in first] == [
        "totals <x>: 25 %, 100 cells/s, 7.5 s left",
        "totals <x>: 50 %, 100 cells/s, 5.0 s left",
        "totals <x>: 10 s, 100 cells/s",
    ]
    assert '<progress value="250" max="1000"' in first[0]["text/html"]
    assert "totals &lt;x&gt;" in first[0]["text/html"]
    assert "<progress" not in first[-1]["text/html"]
    assert "<progress  style" in second[0]["text/html"]
    assert capsys.readouterr().err == ""


def test_lengths_of_time():
    spans = [_progress._span(s) for s in (0.04, 9.94, 59.4, 61, 3600, 7500)]
    assert spans == ["0.0 s", "9.9 s", "59 s", "1 min 1 s", "1 h 0 min", "2 h 5 min"]


def test_auto_goes_by_where_it_runs(monkeypatch):
    shell = SimpleNamespace(kernel=None)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(cm.settings, "_progress", "auto")
    assert cm.settings._shows() == "off"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert cm.settings._shows() == "terminal"
    shell.kernel = object()
    assert cm.settings._shows() == "notebook"
    cm.settings.progress = "off"
    assert cm.settings._shows() == "off"


def test_a_call_shows_its_stages(path, capsys, display, monkeypatch):
    adata = cm.read_h5ad(path)
    monkeypatch.setattr(cm.settings, "_progress", "terminal")
    cm.pp.normalize_total(adata)
    assert re.search(r"\rtotals: \d\.\d s, [\d,]+ cells/s\n", capsys.readouterr().err)
    cm.settings.progress = "notebook"
    cm.pp.normalize_total(adata)
    assert display.shown[-1][-1]["text/plain"].startswith("totals: ")
    cm.settings.progress = "off"
    cm.pp.normalize_total(adata)
    assert capsys.readouterr().err == ""
    assert len(display.shown) == 1


def test_warnings_and_notes_go_by_verbosity(capsys):
    watch = Watch("off", 2)
    with pytest.warns(UserWarning, match="look"):
        watch('{"event": "warning", "text": "look"}')
    watch('{"event": "note", "text": "know"}')
    assert capsys.readouterr().err == "know\n"
    Watch("off", 1)('{"event": "note", "text": "know"}')
    assert capsys.readouterr().err == ""
