"""The real server, killed at random moments while annotators send their votes again until they are acknowledged."""

import random
import re
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2

from preflab.data.store import people
from preflab.data.store.judgements import judgements_of, verify
from preflab.data.store.open import open_store
from preflab.data.store.queue import progress
from tests.web.collect.serving import RealServer

KILLS = 5
STUDY = """
name: red
protocol: rank
slots: 2
items:
""" + "".join(f'  - {{prompt: "Question {n}?", replies: [rain, sun]}}\n' for n in range(400))


class Annotator(threading.Thread):
    """A browser that is patient: what was not acknowledged is sent again, the same form with the same key."""

    def __init__(self, url: str, link: str, seed: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.client = httpx2.Client(base_url=url, timeout=10.0, headers={"origin": url}, follow_redirects=True)
        self.link, self.random, self.stop = link, random.Random(seed), stop
        self.acknowledged: list[str] = []
        self.repeated, self.failure = 0, ""

    def ask(self, method: str, path: str, **form: str) -> Any:
        while True:
            try:
                answer = self.client.request(method, path, data=form or None)
                if answer.status_code < 500:
                    return answer
            except httpx2.HTTPError:
                self.repeated += 1
            if self.stop.is_set() and time.monotonic() > self.patience:
                raise TimeoutError(path)
            time.sleep(0.02)

    patience = float("inf")

    def run(self) -> None:
        try:
            self._judge()
        except Exception as error:
            self.failure = repr(error)
        finally:
            self.client.close()

    def _judge(self) -> None:
        page = self.ask("GET", self.link)
        page = self.ask("POST", self.link, csrf=field(page.text, "csrf"))
        page = self.ask("POST", "/s/red/consent", csrf=field(page.text, "csrf"), agree="1")
        while not self.stop.is_set():
            action = re.search(r'action="(/s/red/task/\d+)" class="judge"', page.text)
            assert action is not None, page.text
            form = {name: field(page.text, name) for name in ("csrf", "key", "lease")}
            page = self.ask("POST", action.group(1), **form, scale=str(self.random.choice([-2, -1, 0, 1, 2])))
            assert page.status_code == 200, page.text
            self.acknowledged.append(form["key"])
            page = self.ask("GET", "/s/red/next")


def field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, page
    return found.group(1)


def test_what_was_acknowledged_is_there_once_whenever_the_server_was_killed(tmp_path: Path) -> None:
    server, stop, chance = RealServer(tmp_path, STUDY), threading.Event(), random.Random(7)
    try:
        server.start()
        store = open_store(server.store, create=False)
        # several uses each: a join that was done but not acknowledged is done again
        links = [people.issue_token(store, "invite", study="red", days=1.0, uses=20) for _ in range(4)]
        crowd = [Annotator(server.url, f"/join/{link}", n, stop) for n, link in enumerate(links)]
        for one in crowd:
            one.start()
        for _ in range(KILLS):
            before = sum(len(one.acknowledged) for one in crowd)
            until = time.monotonic() + 30
            while sum(len(one.acknowledged) for one in crowd) < before + 3 and time.monotonic() < until:
                time.sleep(0.01)  # each life of the server does some work
            time.sleep(chance.random() * 0.3)
            server.kill()
            server.start()
        stop.set()
        for one in crowd:
            one.patience = time.monotonic() + 20
            one.join(60)
        assert [one.failure for one in crowd] == [""] * len(crowd)
        with store.reading() as connection:
            found = [(j, j.payload["place"]["key"]) for j in judgements_of(connection, "red") if j.payload]
        kept = Counter(key for _, key in found)
        sent = [key for one in crowd for key in one.acknowledged]
        assert len(sent) == len(set(sent)) >= 3 * KILLS
        assert {key: kept[key] for key in sent} == dict.fromkeys(sent, 1)
        assert set(kept.values()) == {1}
        assert {judgement.status for judgement, _ in found} == {"counted"}
        assert progress(store, "red").filled == len(found)
        assert sum(one.repeated for one in crowd) > 0  # kills were noticed
        checked = verify(store)
        assert checked.ok, checked.problems
        store.close()
    finally:
        stop.set()
        server.close()
