"""Settings of the documentation: ``make docs`` builds it into ``docs/_build/html``."""

import importlib
import os

from sphinx_gallery.sorting import ExplicitOrder

import leaps_triton

# Examples run one after another, each on a CPU and within one process.
os.environ["CUDA_VISIBLE_DEVICES"] = ""

project = "leaps_triton"
author = "The leaps_triton authors"
copyright = author
version = leaps_triton.__version__
release = version

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "gallery", "sg_execution_times.rst"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}

html_theme = "furo"
html_title = f"leaps_triton {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False

# Headings of Markdown pages can be linked to.
myst_heading_anchors = 3

# Tables of the reference are written by hand: one page a concept, not one a name.
autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"

napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_custom_sections = [("Call", "returns_style")]

GALLERY = [
    "temperature_scan",
    "training",
    "equilibrium_training",
    "learned_or_annealed",
    "linear_response",
    "log_z",
    "along_the_path",
    "own_energy",
    "own_couplings",
    "own_observable",
    "frustration",
    "potts_first_order",
    "phi_four",
    "unequal_modes",
    "ising_3d",
    "autocorrelation_times",
    "domain_growth",
    "reweighting",
    "resampling",
    "arviz_export",
]

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "examples",
    "filename_pattern": r"\.py$",
    "within_subsection_order": ExplicitOrder([f"{name}.py" for name in GALLERY]),
    # What an example prints is shown, and not the value of its last line.
    "capture_repr": (),
    "abort_on_example_error": False,
    "only_warn_on_example_error": False,
    "download_all_examples": False,
    "plot_gallery": "True",
    "show_memory": False,
    "min_reported_time": 0,
    "show_signature": False,
    "copyfile_regex": "",
    "image_srcset": ["2x"],
}

# References to the library must be found; torch and typing have no page here.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(torch|np|numpy|nn|os|pathlib|collections|typing|matplotlib|tqdm|h5py)(\..*)?"),
    (r"py:.*", r"(Tensor|Any|Path|Self|Axes|Figure|Callable|Sequence|Mapping|Iterable)"),
    # A type variable: what goes in comes out.
    (r"py:.*", r"leaps_triton\.training\.equilibrium\.transfer\.Moved"),
]


def resolve(app, env, node, contnode):
    """Find what a reference names: a page that holds it under another name, or the library itself.

    Docstrings may name an object by its module or, next to its class, by its last name alone; the
    reference has it under its public name.
    """
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"].removeprefix(".")
    objects = env.domaindata["py"]["objects"]
    last = target.rpartition(".")[2]
    candidates = [name for name in objects if name == last or name.endswith(f".{last}")]
    named = found_object(target, node.get("py:module"))
    for name in candidates:
        if name.endswith(f".{target}") or (named is not None and found_object(name) is named):
            return link(app, env, node, contnode, name)
    # A part of the library without an entry of its own stays as text.
    return contnode if named is not None else None


def found_object(target, module=None):
    """The object of a dotted name, whole or inside ``module``, or None where there is none."""
    for full in [target, f"{module}.{target}", f"leaps_triton.{target}"]:
        names = full.split(".")
        if names[0] != "leaps_triton":
            continue
        found = leaps_triton
        for depth, name in enumerate(names[1:], start=2):
            inner = getattr(found, name, None)
            if inner is None:
                try:
                    inner = importlib.import_module(".".join(names[:depth]))
                except ImportError:
                    break
            found = inner
        else:
            return found
    return None


def link(app, env, node, contnode, name):
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, contnode)


def undescribed(app, what, name, obj, skip, options):
    """Leave out the fields of named tuples that say nothing but their place."""
    if str(getattr(obj, "__doc__", None)).startswith("Alias for field number"):
        return True
    return None


def sentence(app, what, name, obj, options, lines):
    """Keep the first line of a property whole: napoleon takes words before a colon for its type."""
    if what in ("attribute", "property"):
        # A comment without a colon takes the place of the first line.
        lines[:0] = [".. property", ""]


def setup(app):
    # Before napoleon, whose handlers have the priority 500.
    app.connect("autodoc-process-docstring", sentence, priority=400)
    app.connect("autodoc-skip-member", undescribed)
    app.connect("missing-reference", resolve)
