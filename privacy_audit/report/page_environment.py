"""The templates' environment: strings are escaped, a name that isn't there is an error."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from privacy_audit.report.plain_text import interval, listed, number


def page_environment() -> Environment:
    """Return a fresh environment for pages of this package; pages add their own words to its globals."""
    loader = PackageLoader("privacy_audit.report", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(number=number, interval=interval, listed=listed)
    return environment
