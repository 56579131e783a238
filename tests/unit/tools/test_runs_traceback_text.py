from __future__ import annotations

from tools.runs.traceback_text import show

PREFECT = '  File "/usr/lib/python3.11/site-packages/prefect/task_engine.py", line 869, in run\n    yield self\n'
OWN = (
    '  File "/tmp/prefect-flow-run-cez5huup/flows/sales.py", line 12, in load\n'
    "    return parse(text)\n"
    "           ^^^^^^^^^^^\n"
    '  File "/app/flows/parsing.py", line 30, in parse\n'
    "    return 1 / 0\n"
    "           ~~^~~\n"
)
START = "Traceback (most recent call last):\n"
ERROR = "ZeroDivisionError: division by zero"


def test_the_innermost_own_frame_comes_first_and_frames_of_libraries_are_left_out() -> None:
    assert show(f"Task run failed\n{START}{PREFECT}{OWN}{ERROR}\n") == [
        "flows/parsing.py:30 in parse",
        "    return 1 / 0",
        "flows/sales.py:12 in load",
        "    return parse(text)",
        ERROR,
    ]


def test_an_error_raised_in_a_library_says_in_which() -> None:
    library = (
        '  File "/app/.venv/lib/python3.11/site-packages/pandas/io/common.py", line 9, in get_handle\n    open(x)\n'
    )
    lines = show(f"{START}{OWN}{library}FileNotFoundError: no file\n")
    assert lines[-2:] == ["raised in pandas/io/common.py:9 in get_handle", "FileNotFoundError: no file"]


def test_of_chained_exceptions_one_traceback_is_shown_and_the_others_are_named() -> None:
    cause = f"{START}{PREFECT}ModuleNotFoundError: No module named 'sales'\n"
    link = "\nThe above exception was the direct cause of the following exception:\n\n"
    lines = show(f"{cause}{link}{START}{OWN}RuntimeError: Error during deserialization\n")
    assert lines[-2:] == [
        "RuntimeError: Error during deserialization",
        "chained with: ModuleNotFoundError: No module named 'sales'",
    ]
    assert lines.count("flows/parsing.py:30 in parse") == 1


def test_an_error_of_several_lines_keeps_them() -> None:
    lines = show(f"{START}{OWN}ValueError: two\nlines\n")
    assert lines[-2:] == ["ValueError: two", "lines"]


def test_a_traceback_without_own_frames_still_names_its_error() -> None:
    assert show(f"{START}{PREFECT}{ERROR}\n")[-1] == ERROR


def test_a_text_without_a_traceback_shows_nothing() -> None:
    assert show("all is well") == []
