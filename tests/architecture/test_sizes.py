"""Nothing grows until nobody reads it: lines a module, lines a function, lines a test file."""

import statistics
from pathlib import Path

MODULE_LINES = 400
MODULE_MEDIAN = 150
FUNCTION_LINES = 50
FUNCTION_MEDIAN = 12
TEST_FILE_LINES = 600
SERVICE_README_LINES = 60


def function_lines(function) -> int:
    return function.end_lineno - function.lineno + 1


def test_no_module_is_longer_than_its_limit(modules) -> None:
    assert {str(module.path): module.lines for module in modules if module.lines > MODULE_LINES} == {}


def test_most_modules_are_short(modules) -> None:
    lengths = [module.lines for module in modules if module.path.name not in {"__init__.py", "__main__.py"}]
    assert statistics.median(lengths) <= MODULE_MEDIAN


def test_no_function_is_longer_than_its_limit(modules) -> None:
    long = {
        f"{module.path}:{function.name}": function_lines(function)
        for module in modules
        for function in module.functions()
        if function_lines(function) > FUNCTION_LINES
    }
    assert long == {}


def test_most_functions_are_short(modules) -> None:
    lengths = [function_lines(function) for module in modules for function in module.functions()]
    assert statistics.median(lengths) <= FUNCTION_MEDIAN


def test_no_test_file_is_longer_than_its_limit(sources) -> None:
    long = {str(source.path): source.lines for source in sources if source.is_test and source.lines > TEST_FILE_LINES}
    assert long == {}


def test_the_readme_of_a_service_fits_one_screen(root: Path) -> None:
    readmes = sorted(root.glob("services/*/README.md"))
    assert len(readmes) == 6
    lengths = {str(path.relative_to(root)): len(path.read_text(encoding="utf-8").splitlines()) for path in readmes}
    assert {path: lines for path, lines in lengths.items() if lines > SERVICE_README_LINES} == {}
