"""A preview as Markdown that a reviewer reads in a minute."""

from tools.summary.events import UNKNOWN, Plan, parse
from tools.summary.markdown import failure, render
from tools.summary.page import Page, build
from tools.summary.terminal import show

__all__ = ["UNKNOWN", "Page", "Plan", "build", "failure", "parse", "render", "show"]
