"""Events out of bytes, however they are cut."""

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from preflab.rollouts.servers.event_stream import read_events


def test_comments_fields_and_line_ends() -> None:
    stream = b": comment\r\nevent: x\r\nid: 1\r\ndata: one\r\n\r\ndata:two\n\n\n\ndata: three\ndata: four\n\ndata: last"
    assert list(read_events([stream])) == ["one", "two", "three\nfour", "last"]
    assert list(read_events([b""])) == []


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=4),
    st.lists(st.integers(0, 400), max_size=6),
    st.sampled_from(["\n", "\r\n"]),
)
def test_any_text_in_json_survives_any_cut(texts: list[str], cuts: list[int], end: str) -> None:
    """Unescaped separators of lines and characters of several bytes, cut anywhere."""
    stream = "".join(f"data: {json.dumps(text, ensure_ascii=False)}{end}{end}" for text in texts).encode()
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    chunks = [stream[start:stop] for start, stop in itertools.pairwise(places)]
    assert [json.loads(event) for event in read_events(chunks)] == texts
