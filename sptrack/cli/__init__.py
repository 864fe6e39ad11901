"""Command line: parses, calls, prints. One command a file, registered in `sptrack.cli._app`."""

from sptrack.cli._app import main

__all__ = ["main"]
