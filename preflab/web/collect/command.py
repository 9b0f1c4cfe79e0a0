"""``preflab collect`` and ``preflab store``: what the command line hands over."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from preflab.data.store import open_store, people
from preflab.data.store.backup import back_up, restore
from preflab.data.store.judgements import counts, verify
from preflab.data.store.log import START
from preflab.data.store.open import Store
from preflab.data.store.queue import progress
from preflab.data.store.studies import find_study, list_studies
from preflab.errors import ConfigError, NotThere, StoreError
from preflab.feedback.export import export
from preflab.feedback.study import StudyDefinition, load_study
from preflab.feedback.sync_study import sync_study
from preflab.web.collect.server import ServerConfig, issue_bootstrap_secret, listen, serve, stop_on_terminate
from preflab.web.collect.site import SiteConfig


def collect(args: argparse.Namespace) -> int:
    """Serve the site until it is stopped."""
    studies = [load_study(path) for path in args.study]  # refused before a store is made
    server = ServerConfig(host=args.host, port=args.port, proxies=tuple(args.proxy), reply_threads=args.reply_threads)
    hosts = ("localhost", "127.0.0.1", "[::1]", *args.host_name)
    site = SiteConfig(hosts=hosts, secure=args.https, root_path=args.root_path, films=args.films)
    if server.host not in ("127.0.0.1", "localhost", "::1") and not args.https:
        print(
            "note: passwords and links go over plain http; put a proxy with https before it and give --https",
            file=sys.stderr,
        )
    bound = listen(server)
    store = open_store(args.store)
    try:
        for file in studies:
            print(f"study {file.definition.name}: {sync_study(store, file)}", file=sys.stderr)
            for warning in policy_warnings(file.definition):
                print(f"note: study {file.definition.name}: {warning}", file=sys.stderr)
        port, scheme = bound.getsockname()[1], "https" if args.https else "http"
        host = "localhost" if server.host in ("127.0.0.1", "::1") else server.host
        print(
            f"preflab collects at {scheme}://{host}:{port}{site.root_path}/ (store: {_store_label(store)})", flush=True
        )
        secret = issue_bootstrap_secret(store)
        if secret is not None:
            print(f"the first owner begins at /begin with this secret (one day, once): {secret}", flush=True)
        stop_on_terminate()
        serve(store, site, server, bound)
    finally:
        store.close()
    return 0


def policy_warnings(definition: StudyDefinition) -> Iterator[str]:
    """Why policies will not answer, as far as can be seen without loading any."""
    for policy in definition.policies:
        for folder in filter(None, (policy.run, policy.scorer)):
            if not Path(folder).is_dir():
                yield f"policy {policy.name!r}: there is no run {folder} here"
        if policy.key_env and not os.environ.get(policy.key_env):
            yield f"policy {policy.name!r}: the environment variable {policy.key_env} is not set"


def _store_label(store: Store) -> str:
    url = store.engine.url
    return url.render_as_string(hide_password=True) if store.is_postgres else str(url.database)


def store_command(args: argparse.Namespace) -> int:
    """One of verify, info, backup, restore, export, token."""
    if args.action == "restore":
        restored = restore(args.backup, args.store)
        print(f"{restored.path}: restored, {restored.events} events, head {restored.head}")
        return 0
    store = open_store(args.store, create=False)
    try:
        actions = {"verify": _verify, "info": _info, "backup": _backup, "export": _export, "token": _token}
        return actions[args.action](store, args)
    finally:
        store.close()


def _verify(store: Store, args: argparse.Namespace) -> int:
    report = verify(store, expect=None if args.expect is None else _expected_event(args.expect))
    for problem in report.problems[:50]:
        print(f"problem: {problem}")
    if len(report.problems) > 50:
        print(f"... and {len(report.problems) - 50} more")
    erased = f", {report.erased} erased at somebody's wish" if report.erased else ""
    print(f"{report.events} events{erased}; head {report.events}:{report.head}")
    print("sound" if report.ok else f"{len(report.problems)} problem(s)")
    return 0 if report.ok else StoreError.exit_code


def _expected_event(text: str) -> tuple[int, str]:
    """Number and hash of an event, from ``EVENT:HASH`` or from an export's manifest."""
    path = Path(text)
    if path.is_file():
        try:
            horizon = json.loads(path.read_text("utf-8"))["horizon"]
            return int(horizon["event"]), str(horizon["hash"])
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}: expected a manifest of an export") from error
    number, _, digest = text.partition(":")
    if not number.isdecimal() or len(digest) != len(START):
        raise ConfigError(f"--expect {text!r:.90}: expected EVENT:HASH as verify prints it, or an export's .manifest")
    return int(number), digest


def _info(store: Store, args: argparse.Namespace) -> int:
    del args
    for study in list_studies(store):
        slots = progress(store, study.name)
        judgements = ", ".join(f"{n} {status}" for status, n in sorted(counts(store, study.name).items())) or "none"
        protocol = study.definition["protocol"]
        filled = f"{slots.filled} of {slots.slots} slots filled"
        print(f"{study.name}: {protocol}, {study.state}, revision {study.revision}; {filled}; judgements: {judgements}")
    if not list_studies(store):
        print("no studies yet")
    return 0


def _backup(store: Store, args: argparse.Namespace) -> int:
    backup = back_up(store, args.to)
    print(f"{backup.path}: {backup.events} events, head {backup.events}:{backup.head}")
    return 0


def _export(store: Store, args: argparse.Namespace) -> int:
    try:
        exported = export(store, args.study, args.format, weakest=args.weakest, up_to=args.up_to)
    except NotThere as error:
        raise StoreError(str(error)) from error
    path, manifest = exported.write(args.to), exported.manifest
    left_out = ", ".join(f"{n} left out: {reason}" for reason, n in manifest["left_out"].items())
    print(f"{path}: {manifest['records']} records{'; ' + left_out if left_out else ''}")
    print(f"sha256 {manifest['sha256']}, up to event {manifest['horizon']['event']}")
    return 0


def _token(store: Store, args: argparse.Namespace) -> int:
    """A token for programs, of a pseudonym of its own."""
    if args.study != people.EVERY:
        find_study(store, args.study)
    if not 0 < args.days <= 365:
        raise ConfigError(f"--days must be above 0 and at most 365, got {args.days:g}")
    pseudonym = people.new_person(store)
    people.grant(store, pseudonym, args.study, args.role)
    secret = people.issue_token(
        store, "api", study=args.study, role=args.role, pseudonym=pseudonym, days=args.days, note="preflab store token"
    )
    print(secret)
    return 0
