"""``preflab collect``: flags become the settings of site and server, and the store is let go of in the end."""

import socket
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra 'web'")

from preflab.cli import main
from preflab.data.store import Store, people
from preflab.data.store.studies import list_studies
from preflab.web.collect import command
from preflab.web.collect.server import ServerConfig
from preflab.web.collect.site import SiteConfig

STUDY = """
name: red
protocol: rank
items:
  - {name: first, prompt: "Why?", replies: [rain, sun]}
"""


class Served:
    """In the place of the server: what it was called with, and the studies and tokens at that moment."""

    def __init__(self) -> None:
        self.site, self.config = SiteConfig(), ServerConfig()
        self.port, self.studies, self.bootstraps = 0, list[str](), 0

    def __call__(self, store: Store, site: SiteConfig, config: ServerConfig, bound: socket.socket) -> None:
        self.site, self.config, self.port = site, config, bound.getsockname()[1]
        self.studies = [study.name for study in list_studies(store)]
        self.bootstraps = len(people.tokens_of(store, people.EVERY, "bootstrap"))
        bound.close()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "red.yaml").write_text(STUDY)
    (tmp_path / "collect").mkdir()
    served = Served()
    monkeypatch.setattr(command, "serve", served)
    monkeypatch.setattr(command, "stop_on_terminate", lambda: None)
    return served


def test_without_flags_the_site_is_for_this_machine_alone(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", "--port", "0"]) == 0
    assert served.site == SiteConfig() and served.config == ServerConfig(port=0)
    shown = capsys.readouterr()
    assert f"preflab collects at http://localhost:{served.port}/ (store: collect/store.db)" in shown.out
    assert shown.err == ""


def test_every_flag_reaches_its_setting(served: Served) -> None:
    flags = ["--host-name", "lab.example", "--host-name", "lab", "--https", "--root-path", "/lab", "--films", "films"]
    flags += ["--proxy", "10.0.0.1", "--reply-threads", "0", "--store", "other.db", "--port", "0"]
    assert main(["collect", *flags]) == 0
    hosts = ("localhost", "127.0.0.1", "[::1]", "lab.example", "lab")
    assert served.site == SiteConfig(hosts=hosts, secure=True, root_path="/lab", films="films")
    assert served.config == ServerConfig(port=0, proxies=("10.0.0.1",), reply_threads=0)
    assert Path("other.db").is_file() and not Path("collect/store.db").exists()


def test_a_study_is_made_before_anybody_is_let_in(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", "red.yaml", "--port", "0"]) == 0
    assert served.studies == ["red"]
    assert "study red: " in capsys.readouterr().err


def test_the_first_owners_secret_is_shown_anew_until_there_is_an_owner(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = []
    for _ in range(2):
        main(["collect", "--port", "0"])
        secrets.append(capsys.readouterr().out.split("this secret (one day, once): ")[1].strip())
    assert secrets[0] != secrets[1]
    store = command.open_store("collect/store.db")
    assert people.find_token(store, secrets[0], "bootstrap") is None  # a later one ends it
    people.use_invite(store, secrets[1], name="anna", password="hashed")
    store.close()
    main(["collect", "--port", "0"])
    assert "secret" not in capsys.readouterr().out


def test_plain_http_to_other_machines_is_warned_of(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    for flags, warned in ((["--host", "0.0.0.0"], True), (["--host", "0.0.0.0", "--https"], False)):
        assert main(["collect", "--port", "0", *flags]) == 0
        assert ("plain http" in capsys.readouterr().err) == warned
    assert served.config.host == "0.0.0.0"


def test_the_store_is_closed_when_serving_fails(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    close = Store.close

    def noted(store: Store) -> None:
        closed.append(True)
        close(store)

    def broken(*arguments: Any) -> None:
        arguments[3].close()
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "close", noted)
    monkeypatch.setattr(command, "serve", broken)
    assert main(["collect", "--port", "0"]) == 130
    assert closed == [True]


def test_a_study_that_is_not_there_makes_no_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["collect", "none.yaml"]) == 2
    assert "none.yaml" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
