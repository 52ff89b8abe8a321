"""A selection of the API's tests with the streams in another process: nobody can tell the difference."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration import test_chat_api as api
from tests.support.live_app import LiveApp
from tests.support.server import ServerProcess


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApp]:
    directory = tmp_path_factory.mktemp("elsewhere")
    with ServerProcess(directory / "streams", command="streams") as streams:
        env = {"DURABLE_CHAT_STREAMS_URL": f"{streams.url}/v1/stream"}
        with LiveApp(directory / "app", env=env) as live:
            yield live


test_a_message_is_stored_and_answered = api.test_a_message_is_stored_and_answered
test_without_await_the_reply_comes_at_once = api.test_without_await_the_reply_comes_at_once
test_the_durable_transports_body = api.test_the_durable_transports_body
test_equal_posts_at_once_are_one_message = api.test_equal_posts_at_once_are_one_message
test_the_same_id_with_other_text_is_a_conflict = api.test_the_same_id_with_other_text_is_a_conflict
test_reading_on_from_a_snapshot = api.test_reading_on_from_a_snapshot_misses_and_repeats_nothing
test_an_unchanged_catch_up_is_not_sent_again = api.test_an_unchanged_catch_up_is_not_sent_again
test_the_live_stream_says_first_where_it_is = api.test_the_live_stream_says_first_where_it_is
test_head_describes_the_stream = api.test_head_describes_the_stream
test_stopping_what_is_over_is_no_error = api.test_stopping_what_is_over_is_no_error
test_chats_are_listed_for_those_who_are_in_them = api.test_chats_are_listed_for_those_who_are_in_them
test_a_bearer_token_speaks_for_its_owner_in_one_chat = (
    api.test_a_bearer_token_speaks_for_its_owner_in_one_chat
)
