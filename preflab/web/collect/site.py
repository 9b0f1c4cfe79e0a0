"""What the pages share: settings of the site, the store, the annotation services of its studies."""

import hashlib
import hmac
import secrets
import threading
from dataclasses import dataclass, field
from pathlib import Path

from preflab.data.store.open import Store
from preflab.errors import ConfigError
from preflab.feedback.annotation.annotation_service import AnnotationService
from preflab.feedback.video_store import VideoStore, open_video_store
from preflab.web.collect.limits import Limiter


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteConfig:
    """How a site is reached and what it allows."""

    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    """Host names that requests may ask for; others are refused (a page elsewhere cannot rebind its name to us)."""
    secure: bool = False
    """Whether browsers come over https (perhaps to a proxy before us): cookies are then for https alone."""
    root_path: str = ""
    """Where a proxy has mounted the site, such as /lab."""
    max_body_bytes: int = 2_000_000
    """Largest request."""
    session_days: float = 14.0
    requests_per_second: float = 30.0
    """Sustained, per session (per address for strangers); ten seconds' worth may come at once."""
    logins_per_quarter_hour: int = 10
    """Failed logins and invitations tried, per name and per address."""
    films: str = ""
    """Folder of films that are compared; empty: ``films`` beside a store that is a file."""

    def __post_init__(self) -> None:
        if self.root_path and (not self.root_path.startswith("/") or self.root_path.endswith("/")):
            raise ConfigError(f"root_path must begin with / and not end with it, got {self.root_path!r}")
        if self.max_body_bytes < 10_000:
            raise ConfigError(f"max_body_bytes must be at least 10,000, got {self.max_body_bytes}")

    @property
    def cookie(self) -> str:
        """Name of the session's cookie; the prefix binds it to this host and to https."""
        return "__Host-preflab" if self.secure and not self.root_path else "preflab"

    @property
    def form_cookie(self) -> str:
        """Name of the cookie that binds a stranger's form to their browser."""
        return f"{self.cookie}-form"


@dataclass(slots=True)
class Site:
    """A site that runs."""

    store: Store
    config: SiteConfig
    login_limiter: Limiter = field(init=False)
    request_limiter: Limiter = field(init=False)
    video_store: VideoStore | None = field(init=False)
    """None where the store is no file and no folder was named."""
    _services: dict[str, AnnotationService] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _salt: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    def __post_init__(self) -> None:
        attempts = self.config.logins_per_quarter_hour
        self.video_store = open_video_store(self.store, Path(self.config.films) if self.config.films else None)
        self.login_limiter = Limiter(rate=attempts / 900, burst=float(attempts))
        per_second = self.config.requests_per_second
        self.request_limiter = Limiter(rate=per_second, burst=10 * per_second)

    def annotation_service(self, study: str) -> AnnotationService:
        """The annotation service of a study, as the study is defined now.

        Raises:
            NotThere: there is no such study.
        """
        with self._lock:
            service = self._services.get(study)
        if service is None:
            service = AnnotationService(self.store, study)
            with self._lock:
                self._services[study] = service
        service.refresh()
        return service

    def csrf_token(self, binding: str) -> str:
        """What a form must bring along: bound to the session or, for strangers, to a cookie."""
        return hmac.new(self.store.secret("form"), binding.encode(), hashlib.sha256).hexdigest()[:40]

    def mask(self, address: str) -> str:
        """An address as the limiter knows it: a hash that changes with every start and is written nowhere."""
        return hashlib.blake2b(address.encode(), key=self._salt, digest_size=12).hexdigest()
