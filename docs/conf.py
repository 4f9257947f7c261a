"""The pages as a site: ``make docs`` builds README, docs/ and the committed results, and takes no
warning.
"""

from importlib.metadata import version as installed

project = "parabench"
version = release = installed("parabench")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "docs/**",
    "results/**",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
]
exclude_patterns = [
    "results/runs/**",
    "results/checkpoints/**",
    "results/searches/**",
    "docs/conf.py",
]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "parabench"
