"""Programs that use the package are checked against its types, wherever it lies."""

from pathlib import Path

from mypy.modulefinder import FindModuleCache, SearchPaths

import guided_demo


def test_a_type_checker_finds_the_types_of_the_package():
    root = str(Path(guided_demo.__file__).parents[1])
    installed = SearchPaths(python_path=(), mypy_path=(), package_path=(root,), typeshed_path=())
    assert FindModuleCache(installed, None, None).find_module("guided_demo") == guided_demo.__file__
