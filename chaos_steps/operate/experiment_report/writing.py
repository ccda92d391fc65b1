"""The four files of a report. verdict.json comes last: who finds it finds the others too."""

from __future__ import annotations

from pathlib import Path

from chaos_steps.operate.experiment_report import junit, markdown, page
from chaos_steps.operate.experiment_report.compose import Composed
from chaos_steps.workspace import Workspace, write_atomically


def write(workspace: Workspace, composed: Composed) -> Path:
    """Write them and return the path of the page. Raises Unavailable."""
    folder = workspace.root / "report"
    html = folder / "report.html"
    write_atomically(folder / "junit.xml", junit.render(composed.report))
    write_atomically(folder / "report.md", markdown.render(composed.report).encode())
    write_atomically(html, page.render(composed).encode())
    workspace.write_json("report/verdict.json", composed.report)
    return html
