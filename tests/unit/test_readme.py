"""Every command of README.md has a test, and its example is complete."""

from __future__ import annotations

import ast

import yaml

from tests import readme
from tests.readme_commands import TESTS, Way

TEXT = readme.README.read_text(encoding="utf-8")


def test_every_command_of_the_readme_is_tested_or_has_a_reason_why_not() -> None:
    assert sorted(set(readme.commands(TEXT)) - set(TESTS)) == []
    assert [command for command, test in TESTS.items() if (test.way is Way.ELSEWHERE) != bool(test.reason)] == []


def test_no_test_is_kept_for_a_command_that_left_the_readme() -> None:
    assert sorted(set(TESTS) - set(readme.commands(TEXT))) == []


def test_the_example_of_the_readme_is_a_flow_that_its_declaration_names() -> None:
    example = readme.example(TEXT)
    functions = {node.name for node in ast.parse(example.source).body if isinstance(node, ast.FunctionDef)}
    [declared] = yaml.safe_load(f"deployments:\n{example.declaration}")["deployments"]
    module, _, function = declared["entrypoint"].rpartition(".")
    assert example.path == f"{module.replace('.', '/')}.py"
    assert function in functions
    assert example.output.strip()
    assert readme.make_arguments(example.commands[-1])["FLOW"] == f"{function}/{declared['name']}"
    assert {command for command in TESTS if TESTS[command].way is Way.EXAMPLE} <= set(example.commands)


def test_commands_are_found_in_blocks_in_sentences_and_in_tables() -> None:
    text = """
Run `make one` or `not a command`.

| `make two X=<name>`, `make three` | what |

```bash
make four  # why
# a comment
make five \\
  A='b c'
```

```text
make nothing
```
"""
    assert readme.commands(text) == [
        "make four",
        "make five    A='b c'",
        "make one",
        "make two X=<name>",
        "make three",
    ]
