"""Builds the Cython modules of laminar/_native; everything else is in pyproject.toml."""

import os
import platform
import re
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

NATIVE = Path("laminar/_native")

# SSE4.2 (crc32c, popcnt) is in every x86-64 server since 2010; LAMINAR_MARCH=native for this machine only.
march = os.environ.get("LAMINAR_MARCH", "x86-64-v2" if platform.machine() == "x86_64" else "")
flags = ["-O3", "-std=c++17", "-fno-strict-aliasing", "-Wno-unused-function", "-g1"]
flags += [f"-march={march}"] if march else []


def headers(source: Path) -> set[Path]:
    """The headers of ours that a file includes, directly or not, through what it cimports too."""
    found: set[Path] = set()
    waiting = [source]
    while waiting:
        text = waiting.pop().read_text()
        names = re.findall(r'"(\w+\.hpp)"', text)
        names += [f"{name}.pxd" for name in re.findall(r"_native\.(\w+)\s+cimport", text)]
        new = {NATIVE / n for n in names if (NATIVE / n).exists()} - found
        found |= new
        waiting += new
    return found


extensions = [
    Extension(
        ".".join(source.with_suffix("").parts),
        [str(source)],
        language="c++",
        extra_compile_args=flags,
        include_dirs=[str(NATIVE)],
        depends=sorted(map(str, headers(source))),
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
    )
    for source in sorted(NATIVE.glob("*.pyx"))
]

# An editable install whose modules `setup.py build_ext --inplace` makes (and keeps in build/ for the wheel).
if os.environ.get("LAMINAR_SKIP_NATIVE"):
    extensions = []

jobs = int(os.environ.get("LAMINAR_BUILD_JOBS", os.cpu_count() or 1))

setup(
    options={"build_ext": {"parallel": jobs}},
    ext_modules=cythonize(
        extensions,
        language_level=3,
        nthreads=jobs,
        compiler_directives={
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "freethreading_compatible": False,
        },
    )
    if extensions
    else [],
)
