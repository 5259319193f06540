"""How the site is built: `make docs`, warnings are errors, nothing is fetched from a network."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_site"))
os.environ.pop("MPLBACKEND", None)  # figures of notebooks shall be seen

project = "hardscatter"
author = "The hardscatter developers"
copyright = "the hardscatter developers, GPL-3.0-or-later"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "generated",  # the rest stands in docs/_site
    "mathml",
    "prose",
]
exclude_patterns = ["_site", "results/numbers"]

# Prose and notebooks are MyST Markdown; notebooks run at every build, and one that fails stops it.
myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 180
nb_merge_streams = True
nb_output_stderr = "remove"  # progress, and the banner of FastJet

# Docstrings are numpy's; what stands between single backticks is a name.
default_role = "code"
napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_typehints = "none"  # docstrings say it in words, with unit and shape
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}

html_theme = "furo"
html_title = "hardscatter"
html_static_path = ["_site/static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_math_renderer = "mathml"  # drawn by the browser itself
html_theme_options = {"light_css_variables": {"font-stack": "system-ui, sans-serif"}}
