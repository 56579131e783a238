from __future__ import annotations

from base64 import b64decode
from uuid import uuid4

from prefect.client.schemas.objects import FlowRun

from tools.screenshots import verbs


def test_pictures_of_a_run_show_the_run_its_artifacts_and_its_summary() -> None:
    run = FlowRun(id=uuid4(), name="quick-otter", flow_id=uuid4())
    pictures = {shot.path.rpartition("/")[2]: shot for shot in verbs.of_pages(run, "an-id")}
    assert set(pictures) == {"run.png", "artifacts.png", "summary.png"}
    assert pictures["run.png"].url == f"http://127.0.0.1:4200/runs/flow-run/{run.id}"
    assert pictures["run.png"].shows == "text=quick-otter"
    assert pictures["summary.png"].url.endswith("/artifacts/artifact/an-id")


def test_the_page_gets_the_password_of_the_server_as_the_ui_keeps_it() -> None:
    assert verbs.login({}) == {}
    [(name, value)] = verbs.login({"PREFECT_API_AUTH_STRING": "admin:secret"}).items()
    assert (name, b64decode(value)) == ("prefect-password", b"admin:secret")
