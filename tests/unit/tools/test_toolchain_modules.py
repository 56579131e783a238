from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path

import pytest

from tools.errors import Problem
from tools.toolchain.group import Group, Module
from tools.toolchain.modules import CLUSTER, GROUPS, KIND, LINT, NETWORKS, PULUMI, select
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
def test_go_mod_tidy_keeps_the_module_of_every_program(module: Module) -> None:
    kept = set(re.findall(r"^(?:tool )?\s*(\S+)$", go_mod(module), re.MULTILINE))
    own = {package for package in module.programs.values() if package.startswith(".")}
    assert set(module.programs.values()) - own <= kept
    assert all((module.folder / package / "main.go").is_file() for package in own)


@pytest.mark.parametrize("module", MODULES)
def test_no_two_programs_of_a_folder_are_built_under_one_name(module: Module) -> None:
    names = [package.rsplit("/", 1)[-1] for package in module.programs.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("module", MODULES)
def test_all_modules_require_the_same_go(module: Module) -> None:
    assert go_line(module.folder)[:2] == (1, 26)


def test_every_folder_of_module_files_is_used() -> None:
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
def test_the_program_of_a_plugin_has_the_name_that_pulumi_expects(plugin: str) -> None:
    package = Path(str(metadata.distribution(f"pulumi-{plugin}").locate_file(f"pulumi_{plugin.replace('-', '_')}")))
    plugin_json = json.loads((package / "pulumi-plugin.json").read_text())
    assert GROUPS[f"{plugin}-provider"].outputs == (f"pulumi-resource-{plugin_json['name']}",)


def test_the_files_beside_pulumi_are_those_that_run_python_programs() -> None:
    assert set(GROUPS["pulumi"].outputs) == {
        "pulumi",
        "pulumi-language-python",
        "pulumi-language-python-exec",
        "pulumi-resource-pulumi-python",
    }


def test_every_staging_module_has_the_version_of_kubernetes() -> None:
    replaced = re.findall(r"=> k8s\.io/\S+ v0\.(\S+)", go_mod(GROUPS["kubernetes"].modules[0]))
    assert len(replaced) == 31
    assert {f"1.{version}" for version in replaced} == {GROUPS["kubernetes"].version}


def test_every_group_is_in_a_named_set() -> None:
    assert {*PULUMI, *LINT, *CLUSTER, *KIND, *NETWORKS} == set(GROUPS)


def test_groups_of_a_network_are_not_built_for_every_cluster() -> None:
    assert not set(NETWORKS) & set(CLUSTER)


def test_groups_are_selected_in_the_order_of_the_table() -> None:
    assert [group.name for group in select(["etcd", "pulumi"], GROUPS)] == ["pulumi", "etcd"]
    with pytest.raises(Problem, match="has no group 'docker'"):
        select(["etcd", "docker"], GROUPS)


def test_a_group_requires_the_newest_go_of_its_modules(tmp_path: Path) -> None:
    modules = []
    for name, line in (("old", "1.21"), ("new", "1.26.3"), ("none", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "go.mod").write_text(f"module {name}\n" + (f"\ngo {line}\n" if line else ""))
        modules.append(Module(folder=tmp_path / name, requires="x", programs={name: "."}))
    group = Group(name="g", version="1", modules=tuple(modules), size_mib=1, cold_mib=1)
    assert group.go == (1, 26, 3)


def test_module_files_do_not_name_a_machine_or_a_proxy() -> None:
    for path in GOMOD.rglob("*"):
        if path.is_file() and path.suffix != ".md":
            assert not re.search(r"https?://|GOPROXY|GONOSUM|/root/|/home/", path.read_text()), path


@pytest.mark.parametrize(
    ("first", "second"), [("kubernetes", "kubernetes-provider"), ("pulumi", "docker-build-provider")]
)
def test_folders_whose_programs_share_most_of_their_packages_require_the_same_versions(first: str, second: str) -> None:
    """Each package is compiled once then, which halves the time of the second build."""

    def versions(folder: str) -> dict[str, str]:
        text = (GOMOD / folder / "go.mod").read_text()
        lines = re.findall(r"^(?:require )?\s*(\S+\.\S+) (v\S+)", text, re.MULTILINE)
        replaced = re.findall(r"^(?:replace )?\s*(\S+) => \S+ (v\S+)", text, re.MULTILINE)
        return dict(lines) | dict(replaced)

    ours, theirs = versions(first), versions(second)
    shared = ours.keys() & theirs.keys()
    assert len(shared) > 50
    assert {name: (ours[name], theirs[name]) for name in shared if ours[name] != theirs[name]} == {}
