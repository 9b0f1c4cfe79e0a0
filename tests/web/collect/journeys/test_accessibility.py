"""axe finds nothing serious or critical on any page, in light and in dark, on a desk and on a phone."""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from preflab.feedback.protocols import EXAMPLES
from tests.web.collect.journeys.lab import Lab, Visit, become_owner, join, make_study, pick, send
from tests.web.collect.journeys.test_order import FOUR
from tests.web.collect.journeys.test_protocols import say, tiny

VERSION = "4.14.1"


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core, fetched once from npm and kept in a folder of the temporary files: too large to commit."""
    folder = Path(tempfile.gettempdir()) / f"preflab-axe-{VERSION}"
    script = folder / "axe.min.js"
    if not script.is_file():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("needs npm to fetch axe-core")
        folder.mkdir(exist_ok=True)
        command = [npm, "pack", f"axe-core@{VERSION}", "--silent", "--pack-destination", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            pytest.skip(f"npm could not fetch axe-core: {done.stderr[-300:]}")
        with tarfile.open(folder / f"axe-core-{VERSION}.tgz") as packed:
            found = packed.extractfile("package/axe.min.js")
            assert found is not None
            script.with_suffix(".part").write_bytes(found.read())
        script.with_suffix(".part").replace(script)
    return script.read_text(encoding="utf-8")


class Inspector:
    """Looks at one page after the other and collects what is serious."""

    def __init__(self, axe: str) -> None:
        self.axe, self.found = axe, list[str]()

    def look(self, page: Page, name: str) -> None:
        page.wait_for_load_state()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.evaluate(self.axe)  # through the debugger: no page of ours would let the script in
            result: dict[str, Any] = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
            for violation in result["violations"]:
                if violation["impact"] in ("serious", "critical"):
                    where = [node["html"][:150] for node in violation["nodes"][:3]]
                    self.found.append(f"{name}, {scheme}: {violation['id']}: {violation['help']}: {where}")
            assert result["passes"], "axe looked at nothing"


def test_axe_can_complain(axe: str, visit: Visit) -> None:
    page = visit.window()
    page.goto("/login")
    page.evaluate("document.querySelectorAll('label').forEach(label => label.replaceWith(...label.children))")
    inspector = Inspector(axe)
    inspector.look(page, "broken")
    assert any("label" in finding for finding in inspector.found)


PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.mark.slow
@pytest.mark.parametrize("screen", [{}, PHONE], ids=["desk", "phone"])
def test_pages_of_annotators(axe: str, lab: Lab, visit: Visit, tiny_policy: None, screen: dict[str, Any]) -> None:
    for name in EXAMPLES:
        lab.study(tiny(name))
    long = EXAMPLES["rank"].replace("name: which-is-better", "name: long").replace("Water it", "Water it " * 900)
    lab.study(long.split("gold:")[0].replace("gold_every: 10\n", ""))
    lab.study(FOUR)
    page, inspector = visit.window(**screen), Inspector(axe)
    page.goto("/login")
    inspector.look(page, "login")
    page.goto(lab.link("find-the-harm"))
    inspector.look(page, "invitation")
    page.get_by_role("button", name="Take part").click()
    expect(page.get_by_role("checkbox", name="I agree")).to_be_visible()
    inspector.look(page, "consent")
    join(page, lab.link("which-is-better"))
    inspector.look(page, "practice")
    pick(page, 1)
    send(page)
    expect(page.get_by_role("link", name="Go on")).to_be_visible()
    inspector.look(page, "feedback")
    for name in ("four", "long", "was-it-broken", "break-a-rule", "with-a-little-help"):
        join(page, lab.link(name))
        inspector.look(page, name)
    page.get_by_role("radio", name="Helium").check()
    page.get_by_role("radio", name="25 %").check()
    send(page)
    expect(page.get_by_text("Your answer was not right.")).to_be_visible()
    inspector.look(page, "done")
    join(page, lab.link("talk-and-choose"))
    say(page, "hello")
    inspector.look(page, "waiting")
    expect(page.locator(".points")).to_be_visible()
    pick(page, 2)
    inspector.look(page, "vote")
    send(page)
    page.get_by_text("End the conversation").click()
    inspector.look(page, "end")
    for address in (
        "/",
        "/account",
        "/s/with-a-little-help",
        "/s/with-a-little-help/history",
        "/s/with-a-little-help/next",
    ):
        page.goto(address)
        inspector.look(page, address)
    visit.witness.allow_status(404)
    page.goto("/s/with-a-little-help/task/99999")
    inspector.look(page, "error")
    assert inspector.found == []


@pytest.mark.slow
@pytest.mark.parametrize("screen", [{}, PHONE], ids=["desk", "phone"])
def test_clips_that_are_compared(axe: str, lab: Lab, visit: Visit, screen: dict[str, Any]) -> None:
    from tests.web.collect.journeys.test_clips import films, shown, study  # skips where 'control' is not installed

    names = films(lab, 2)
    study(lab, names, [(0, 1)])
    page, inspector = visit.window(**screen), Inspector(axe)
    join(page, lab.link("hop"))
    shown(page, names)
    inspector.look(page, "clips")
    page.keyboard.press("ArrowUp")
    expect(page.get_by_text("You have judged all there is")).to_be_visible()
    inspector.look(page, "clips, all judged")
    assert inspector.found == []


@pytest.mark.slow
def test_pages_of_owners(axe: str, lab: Lab, visit: Visit) -> None:
    page, inspector = visit.window(), Inspector(axe)
    page.goto("/begin")
    inspector.look(page, "begin")
    become_owner(page, lab)
    page.goto("/new")
    inspector.look(page, "new")
    link = make_study(page, EXAMPLES["rule-judge"])
    inspector.look(page, "manage, with a link")
    annotator = visit.window()
    join(annotator, link)
    annotator.get_by_role("radio", name="definitely kept").check()
    send(annotator)
    expect(annotator.get_by_text("There is nothing left for you")).to_be_visible()
    (judgement,) = lab.judgements("was-it-broken")
    for address in ("manage", "results", "log", f"judgements/{judgement.seq}"):
        page.goto(f"/s/was-it-broken/{address}")
        inspector.look(page, address)
    visit.witness.allow_status(422)
    page.goto("/new")
    page.get_by_label("Definition").fill("name: [")
    page.get_by_role("button", name="Make the study").click()
    expect(page.get_by_role("alert")).to_be_visible()
    inspector.look(page, "new, refused")
    assert inspector.found == []
