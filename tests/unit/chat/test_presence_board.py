"""The board: who is here after any beats, at any time."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from webapp.chat.presence_board import LINGER, MAX_TABS, TYPING, Beat, Board, Person

NOW = 1_800_000_000.0
TTL = 75.0


def beat(who: str = "ana", tab: str = "t1", seq: int = 1, *, at: float = NOW, **said: Any) -> Beat:
    about = {"name": who.capitalize(), "hue": 3, "guest": False, "role": "chat", "state": "active"}
    return Beat(**{**about, "participant_id": who, "tab": tab, "seq": seq, "at": round(at * 1000), **said})


def board(*beats: Beat, now: float = NOW) -> Board:
    made = Board(ttl=TTL)
    for each in beats:
        made.apply(each, now=now)
    return made


def shown(people: tuple[Person, ...]) -> dict[str, tuple[str, int]]:
    return {one.name: (one.state, one.devices) for one in people}


def test_a_beat_is_somebody_and_silence_is_nobody() -> None:
    made = board(beat())
    assert made.people(NOW) == (
        Person(
            participant_id="ana",
            name="Ana",
            hue=3,
            guest=False,
            role="chat",
            state="active",
            typing=False,
            devices=1,
            on=("computer",),
        ),
    )
    assert made.next_change(NOW) == NOW + TTL
    assert made.people(NOW + TTL - 0.01)
    assert made.people(NOW + TTL) == ()
    assert made.next_change(NOW + TTL) is None


def test_beats_that_go_on_keep_somebody_here() -> None:
    made = board()
    for number in range(20):
        made.apply(beat(seq=number, at=NOW + 25 * number), now=NOW + 25 * number)
    assert len(made.people(NOW + 25 * 20)) == 1


def test_tabs_are_counted_and_one_that_leaves_no_longer_is() -> None:
    two = board(beat(), beat(tab="t2", device="phone"))
    assert [(one.devices, one.on) for one in two.people(NOW)] == [(2, ("computer", "phone"))]
    two.apply(beat(tab="t2", seq=2, state="gone", device="phone"), now=NOW)
    assert [(one.devices, one.on) for one in two.people(NOW)] == [(1, ("computer",))]


def test_somebody_is_away_only_with_every_tab() -> None:
    made = board(beat(state="away"), beat(tab="t2"))
    assert shown(made.people(NOW)) == {"Ana": ("active", 2)}
    made.apply(beat(tab="t2", seq=2, state="away"), now=NOW)
    assert shown(made.people(NOW)) == {"Ana": ("away", 2)}


def test_a_tab_that_is_hidden_for_long_is_away_and_never_gone() -> None:
    """AC-57. Browsers let a tab that is hidden for minutes do something only once a minute."""
    made, now, seq = board(beat()), NOW, 1
    beats = [*range(25, 300, 25), *range(300, 601, 60)]
    for second in range(1, 601):
        now = NOW + second
        if second in beats:
            seq += 1
            made.apply(beat(seq=seq, state="away", at=now), now=now)
        assert shown(made.people(now)) == {"Ana": ("away" if second >= 25 else "active", 1)}, second
    made.apply(beat(seq=seq + 1, at=now), now=now)
    assert shown(made.people(now)) == {"Ana": ("active", 1)}


def test_a_reload_is_no_leave() -> None:
    made = board(beat(), beat(seq=2, state="gone"))
    assert shown(made.people(NOW)) == {"Ana": ("active", 1)}
    made.apply(beat(tab="again", at=NOW + 1), now=NOW + 1)
    assert shown(made.people(NOW + LINGER)) == {"Ana": ("active", 1)}
    assert board(beat(), beat(seq=2, state="gone")).people(NOW + LINGER) == ()


def test_a_late_beat_raises_nobody_from_the_dead() -> None:
    """The beacon of a page that closes may overtake its last beat."""
    made = board(beat(seq=2, state="gone"), beat(seq=1))
    assert made.people(NOW + LINGER) == ()
    made.apply(beat(seq=1), now=NOW + TTL / 2)
    assert made.people(NOW + TTL / 2) == ()


def test_typing_ends_by_itself() -> None:
    """AC-59, also of somebody who has vanished with the last key."""
    made = board(beat(typing=True), beat("ben"))
    assert [one.name for one in made.people(NOW) if one.typing] == ["Ana"]
    assert made.next_change(NOW) == NOW + TYPING
    assert TYPING < 6
    assert not any(one.typing for one in made.people(NOW + TYPING))
    assert len(made.people(NOW + TYPING)) == 2


def test_the_newest_beat_tells_the_name() -> None:
    made = board(beat(), beat(tab="t2"), beat(tab="t2", seq=2, at=NOW + 1, name="Anna", hue=9), now=NOW + 1)
    assert [(one.name, one.hue) for one in made.people(NOW + 1)] == [("Anna", 9)]


def test_a_clock_that_is_ahead_keeps_nobody_longer() -> None:
    made = board(beat(at=NOW + 3600))
    assert made.people(NOW)
    assert made.people(NOW + TTL) == ()


def test_beats_of_long_ago_are_nobody() -> None:
    """After a restart the stream still has them."""
    assert board(beat(at=NOW - TTL), beat("ben", at=NOW - TTL + 1)).people(NOW)[0].name == "Ben"


def test_nobody_fills_the_board() -> None:
    made = board(beat("ben"), *(beat(tab=f"t{number}") for number in range(500)))
    assert shown(made.people(NOW)) == {"Ana": ("active", MAX_TABS), "Ben": ("active", 1)}


BEATS = st.lists(
    st.builds(
        lambda who, tab, seq, ago, state, typing: beat(
            who, tab, seq, at=NOW - ago, state=state, typing=typing, name=f"{who} {seq}"
        ),
        st.sampled_from(["ana", "ben", "eve"]),
        st.sampled_from(["t1", "t2", "t3"]),
        st.integers(0, 6),
        st.integers(0, 100),
        st.sampled_from(["active", "away", "gone"]),
        st.booleans(),
    ),
    unique_by=lambda one: (one.participant_id, one.tab, one.seq),
    max_size=12,
)


@given(BEATS, st.randoms(use_true_random=False), st.floats(0, 100))
def test_order_and_repeats_change_nothing(beats: list[Beat], rng: Any, later: float) -> None:
    """The last word of each tab decides, whatever came before it and in whatever order."""
    last: dict[tuple[str, str], Beat] = {}
    for each in beats:
        if each.at / 1000 + TTL > NOW:
            key = (each.participant_id, each.tab)
            last[key] = max(each, last.get(key, each), key=lambda one: one.seq)
    again = [*beats, *rng.sample(beats, len(beats) // 2)]
    rng.shuffle(again)
    now = NOW + later
    expected = board(*last.values()).people(now)
    assert board(*beats).people(now) == board(*again).people(now) == expected


@given(BEATS, st.floats(0, 100))
def test_another_board_goes_on_from_its_beats(beats: list[Beat], later: float) -> None:
    first = board(*beats)
    assert board(*first.beats(), now=NOW).people(NOW + later) == first.people(NOW + later)


@given(BEATS)
def test_nothing_changes_before_it_is_said(beats: list[Beat]) -> None:
    made, now = board(*beats), NOW
    while (until := made.next_change(now)) is not None:
        assert until > now
        assert made.people((now + until) / 2) == made.people(until - 1e-3) == made.people(now)
        now = until
    assert made.people(now) == ()
