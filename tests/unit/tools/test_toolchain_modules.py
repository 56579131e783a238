from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path

import pytest

from tools.errors import Problem
from tools.toolchain.group import Group, Module
from tools.toolchain.modules import CLUSTER, GROUPS, LINT, NETWORKS, PULUMI, select
from tools.toolchain.pins import GOMOD, go_line, pinned, required

MODULES = [pytest.param(module, id=module.folder.name) for group in GROUPS.values() for module in group.modules]


def go_mod(module: Module) -> str:
    return (module.folder / "go.mod").read_text()


@pytest.mark.parametrize("module", MODULES)
def test_every_module_is_pinned_by_go_mod_and_go_sum(module: Module) -> None:
    assert f"{module.requires} v{required(module.folder, module.requires)} h1:" in (
        (module.folder / "go.sum").read_text()
    )


@pytest.mark.parametrize("module", MODULES)
def test_every_program_keeps_its_module_required_when_go_mod_is_tidied(module: Module) -> None:
    named = set(re.findall(r"^(?:tool )?\s*(\S+)$", go_mod(module), re.MULTILINE))
    outside = {package for package in module.programs.values() if package != "."}
    assert outside <= named
    assert outside or (module.folder / "main.go").is_file()


@pytest.mark.parametrize("module", MODULES)
def test_no_two_programs_of_a_folder_are_built_under_one_name(module: Module) -> None:
    names = [package.rsplit("/", 1)[-1] for package in module.programs.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("module", MODULES)
def test_no_module_asks_for_a_newer_go_than_the_others(module: Module) -> None:
    assert go_line(module.folder)[:2] == (1, 26)


def test_no_folder_of_module_files_is_unused() -> None:
    used = {module.folder for group in GROUPS.values() for module in group.modules}
    assert used == {path for path in GOMOD.iterdir() if path.is_dir()}


def test_programs_of_different_groups_have_different_names() -> None:
    names = [name for group in GROUPS.values() for name in group.outputs]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("plugin", ["kubernetes", "docker-build"])
def test_a_plugin_has_the_version_of_its_python_package(plugin: str) -> None:
    version = GROUPS[f"{plugin}-provider"].version
    assert version == pinned(f"pulumi-{plugin}") == metadata.version(f"pulumi-{plugin}")


@pytest.mark.parametrize("plugin", ["kubernetes", "docker-build"])
def test_a_plugins_program_has_the_name_that_pulumi_looks_for(plugin: str) -> None:
    package = Path(str(metadata.distribution(f"pulumi-{plugin}").locate_file(f"pulumi_{plugin.replace('-', '_')}")))
    described = json.loads((package / "pulumi-plugin.json").read_text())
    assert GROUPS[f"{plugin}-provider"].outputs == (f"pulumi-resource-{described['name']}",)


def test_what_lies_beside_pulumi_is_what_runs_python_programs() -> None:
    assert set(GROUPS["pulumi"].outputs) == {
        "pulumi",
        "pulumi-language-python",
        "pulumi-language-python-exec",
        "pulumi-resource-pulumi-python",
    }


def test_every_staging_module_has_the_version_of_its_kubernetes() -> None:
    replaced = re.findall(r"=> k8s\.io/\S+ v0\.(\S+)", go_mod(GROUPS["kubernetes"].modules[0]))
    assert len(replaced) == 31
    assert {f"1.{version}" for version in replaced} == {GROUPS["kubernetes"].version}


def test_the_named_sets_hold_names_of_groups() -> None:
    assert {*PULUMI, *LINT, *CLUSTER, *NETWORKS} == set(GROUPS)


def test_what_only_a_network_needs_is_not_built_for_every_cluster() -> None:
    assert not set(NETWORKS) & set(CLUSTER)


def test_groups_come_in_the_tables_order_whatever_the_order_of_their_names() -> None:
    assert [group.name for group in select(["etcd", "pulumi"], GROUPS)] == ["pulumi", "etcd"]
    with pytest.raises(Problem, match="no tool called 'docker'"):
        select(["etcd", "docker"], GROUPS)


def test_the_newest_go_line_of_a_groups_modules_counts(tmp_path: Path) -> None:
    modules = []
    for name, line in (("old", "1.21"), ("new", "1.26.3"), ("none", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "go.mod").write_text(f"module {name}\n" + (f"\ngo {line}\n" if line else ""))
        modules.append(Module(folder=tmp_path / name, requires="x", programs={name: "."}))
    group = Group(name="g", version="1", modules=tuple(modules), size_mib=1, cold_mib=1)
    assert group.go == (1, 26, 3)


def test_nothing_pinned_names_a_machine_or_a_registry() -> None:
    for path in GOMOD.rglob("*"):
        if path.is_file() and path.suffix != ".md":
            assert not re.search(r"https?://|GOPROXY|GONOSUM|/root/|/home/", path.read_text()), path
