"""The workflows: they say what the README says, and may do no more than they must."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml

from analysis import paths

FOLDER = paths.ROOT / ".github" / "workflows"
NAMES = ["publish", "test"]


def workflow(name: str) -> dict:
    # YAML 1.1 reads the key `on` as true.
    content = yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in content.items()}


def steps(job: dict) -> list[str]:
    return [step.get("run") or step["uses"].partition("@")[0] for step in job["steps"]]


def test_these_are_all_workflows():
    assert sorted(path.stem for path in FOLDER.iterdir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_is_valid_by_its_schema(name):
    command = ["--builtin-schema", "vendor.github-workflows", str(FOLDER / f"{name}.yml")]
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *command], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_reads_and_no_more(name):
    content = workflow(name)
    assert content["permissions"] == {"contents": "read"}
    for job, parts in content["jobs"].items():
        deploys = {"pages": "write", "id-token": "write"} if job == "deploy" else None
        assert parts.get("permissions") == deploys, job


@pytest.mark.parametrize("name", NAMES)
def test_every_action_has_a_version_and_every_make_target_exists(name):
    makefile = (paths.ROOT / "Makefile").read_text(encoding="utf-8")
    for job in workflow(name)["jobs"].values():
        for step in job["steps"]:
            assert ("run" in step) != bool(re.fullmatch(r"[\w/-]+@v\d+", step.get("uses", "")))
            if step.get("run", "").startswith("make "):
                assert re.search(rf"^{step['run'].split()[1]}:", makefile, re.MULTILINE)


def test_the_tests_run_as_the_readme_says_on_every_push_and_on_both_pythons():
    content = workflow("test")
    assert set(content["on"]) == {"push", "pull_request"}
    (job,) = content["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.13"]
    assert steps(job)[-1] == "make test"
    readme = (paths.ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^make test\b", readme, re.MULTILINE)


def test_a_release_renders_both_profiles_and_deploys_them():
    content = workflow("publish")
    assert content["on"] == {"release": {"types": ["published"]}, "workflow_dispatch": None}
    render, deploy = content["jobs"]["render"], content["jobs"]["deploy"]
    assert {"quarto-dev/quarto-actions/setup", "make report", "make demo"} <= set(steps(render))
    assert steps(render)[-1] == "actions/upload-pages-artifact"
    output = yaml.safe_load((paths.ROOT / "_quarto.yml").read_text(encoding="utf-8"))
    assert render["steps"][-1]["with"]["path"] == output["project"]["output-dir"]
    demo = yaml.safe_load((paths.ROOT / "_quarto-demo.yml").read_text(encoding="utf-8"))
    assert f"mv {demo['project']['output-dir']} " in " ".join(steps(render))
    assert deploy["needs"] == "render" and steps(deploy) == ["actions/deploy-pages"]
