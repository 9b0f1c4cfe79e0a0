"""What the pages share: services that follow their studies, tokens of forms, masks of addresses."""

import pytest

from preflab.data.store.studies import revise_study
from preflab.errors import ConfigError, NotThere
from preflab.feedback.study import parse_study
from preflab.web.collect.site import Site, SiteConfig
from tests.web.collect.lab import RANK, Lab


def test_a_service_is_made_once_and_follows_the_studys_revisions(lab: Lab) -> None:
    service = lab.site.annotation_service("red")
    assert service.definition.title == "Which is better?"
    revised = parse_study(RANK.format(name="red").replace("Which is better?", "Which one?")).definition
    revise_study(lab.store, "red", revised.to_json())
    assert lab.site.annotation_service("red") is service
    assert service.definition.title == "Which one?"
    with pytest.raises(NotThere):
        lab.site.annotation_service("nothing")


def test_a_forms_token_is_of_its_session_and_outlives_a_restart(lab: Lab) -> None:
    restarted = Site(lab.store, SiteConfig())
    token = lab.site.csrf_token("session 1")
    assert token == restarted.csrf_token("session 1")
    assert len(token) == 40 and int(token, 16)
    assert token != lab.site.csrf_token("session 2")


def test_a_mask_is_the_same_until_the_site_starts_again(lab: Lab) -> None:
    restarted = Site(lab.store, SiteConfig())
    assert lab.site.mask("192.0.2.1") == lab.site.mask("192.0.2.1")
    assert lab.site.mask("192.0.2.1") not in (lab.site.mask("192.0.2.2"), restarted.mask("192.0.2.1"))


def test_logins_have_their_own_limit(lab: Lab) -> None:
    site = Site(lab.store, SiteConfig(logins_per_quarter_hour=9, requests_per_second=2.0))
    assert (site.login_limiter.rate, site.login_limiter.burst) == (0.01, 9.0)
    assert (site.request_limiter.rate, site.request_limiter.burst) == (2.0, 20.0)


def test_films_lie_beside_a_store_that_is_a_file(lab: Lab) -> None:
    assert lab.site.video_store is not None
    assert lab.site.video_store.folder == lab.path.parent / "films"


def test_bodies_may_not_be_limited_below_what_a_form_needs() -> None:
    with pytest.raises(ConfigError, match="at least 10,000, got 9999"):
        SiteConfig(max_body_bytes=9_999)
