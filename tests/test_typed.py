"""What a user's type checker sees of the package."""

from importlib.resources import files


def test_the_types_are_shipped() -> None:
    """Without the marker a type checker takes everything from here for ``Any`` (PEP 561)."""
    assert (files("preflab") / "py.typed").is_file()
