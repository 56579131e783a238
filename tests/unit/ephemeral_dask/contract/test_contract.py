from __future__ import annotations

import re
import subprocess
import sys

import pytest

from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract import knobs
from ephemeral_dask.contract.quantities import SCHEMA, cores, memory_bytes


def test_the_contract_imports_the_standard_library_only() -> None:
    script = (
        "import sys, pkgutil, importlib\n"
        "from ephemeral_dask import contract\n"
        "for module in pkgutil.iter_modules(contract.__path__, contract.__name__ + '.'):\n"
        "    importlib.import_module(module.name)\n"
        "roots = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(roots - set(sys.stdlib_module_names) - {'ephemeral_dask', '__main__', 'sitecustomize'}))"
    )
    # -I keeps the site's own start-up hooks out; the path is given by hand.
    ran = subprocess.run([sys.executable, "-S", "-c", script], check=True, capture_output=True, text=True, cwd=".")
    assert ran.stdout.strip() == "[]"


def test_each_job_variable_has_its_own_two_environment_variables() -> None:
    names = [name for one in knobs.JOB_VARIABLES for name in (one.variable, one.default_variable)]
    assert len(set(names)) == len(names)
    assert all(name.startswith(knobs.PREFIX) for name in names)


def test_no_job_variable_collides_with_what_the_platform_says_about_the_place() -> None:
    place = {value for value in vars(env).values() if isinstance(value, str) and value.startswith(knobs.PREFIX)}
    assert place.isdisjoint({one.variable for one in knobs.JOB_VARIABLES})


@pytest.mark.parametrize(
    ("text", "value"), [("500m", 0.5), ("2", 2.0), ("1.5", 1.5), ("1k", 1000.0), ("1e3", 1000.0), (".5", 0.5)]
)
def test_a_cpu_quantity_is_read_in_cores(text: str, value: float) -> None:
    assert cores(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("1Ki", 1024), ("512Mi", 512 * 2**20), ("1G", 10**9), ("7", 7), ("1e9", 10**9), ("+2E", 2 * 10**18)],
)
def test_a_memory_quantity_is_read_in_bytes(text: str, value: int) -> None:
    assert memory_bytes(text) == value


@pytest.mark.parametrize("text", ["", "0", "-1", "1 Gi", "1GB", "lots", "0m", "100 m", "\u0663", "1.5.", "e3"])
def test_a_text_that_is_not_a_quantity_above_zero_is_refused_by_name(text: str) -> None:
    for read in (cores, memory_bytes):
        with pytest.raises(ValueError, match=repr(text)):
            read(text)


@pytest.mark.parametrize("text", ["500m", "2", "1e9", ".5", "+2E", "10Ei", "{{ prefect.variables.size }}"])
def test_the_schema_of_a_quantity_takes_what_the_code_takes_and_a_placeholder(text: str) -> None:
    assert re.search(SCHEMA["anyOf"][0]["pattern"], text)


@pytest.mark.parametrize("text", ["", "-1", "1 Gi", "1GB", "\u0663", "e3"])
def test_the_schema_of_a_quantity_refuses_what_the_code_refuses(text: str) -> None:
    assert not re.search(SCHEMA["anyOf"][0]["pattern"], text)


def test_a_fraction_of_a_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="whole number of bytes"):
        memory_bytes("500m")
