"""The official OpenAI client against the running demo."""

from collections.abc import Iterator

import openai
import pytest

from tests.live.conftest import Live

pytestmark = pytest.mark.ray

HELLO: list[openai.types.chat.ChatCompletionMessageParam] = [
    {"role": "user", "content": "Hi there! My name is Robin."}
]
COMPONENTS = {"ember", "flint", "willow"}


@pytest.fixture(scope="module")
def client(demo: Live) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{demo.url}/v1", api_key=demo.api_key, max_retries=0) as client:
        yield client


def test_chat(client: openai.OpenAI) -> None:
    """A chat is answered in words, ends by itself, and its usage adds up."""
    response = client.chat.completions.create(model="demo", messages=HELLO)

    assert response.model in COMPONENTS
    assert response.choices[0].finish_reason == "stop"
    assert response.choices[0].message.content
    assert response.usage is not None
    assert 0 < response.usage.completion_tokens < 64
    total = response.usage.prompt_tokens + response.usage.completion_tokens
    assert response.usage.total_tokens == total


def test_the_header_names_the_component(client: openai.OpenAI) -> None:
    """The demo names its component in a header, and the body names the same one."""
    raw = client.chat.completions.with_raw_response.create(model="demo", messages=HELLO)

    assert raw.headers["x-blended-component"] == raw.parse().model


def test_stream(client: openai.OpenAI) -> None:
    """A stream has many chunks and ends with a finish reason; usage comes on request."""
    chunks = list(
        client.chat.completions.create(
            model="demo", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )

    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert len("".join(texts).split()) > 1
    assert reasons[-1] == "stop"
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.completion_tokens > 1


def test_completions(client: openai.OpenAI) -> None:
    """The older endpoint completes a prompt, streaming or not."""
    response = client.completions.create(model="ember", prompt="Hello", max_tokens=5)
    streamed = list(
        client.completions.create(model="ember", prompt="Hello", max_tokens=5, stream=True)
    )

    assert response.usage is not None
    assert response.usage.completion_tokens <= 5
    assert streamed[-1].choices[0].finish_reason


def test_models(client: openai.OpenAI) -> None:
    """The blend and each of its components are models, listed and by name."""
    assert [model.id for model in client.models.list()] == ["demo", "ember", "flint", "willow"]
    assert client.models.retrieve("flint").id == "flint"


@pytest.mark.parametrize("component", sorted(COMPONENTS))
def test_a_component_by_name(client: openai.OpenAI, component: str) -> None:
    """A component whose id is the model answers the request."""
    response = client.chat.completions.create(model=component, messages=HELLO)

    assert response.model == component


def test_n_gives_several_choices(client: openai.OpenAI) -> None:
    """With n=2 one component gives two choices."""
    response = client.chat.completions.create(model="demo", messages=HELLO, n=2, temperature=1)

    assert [choice.index for choice in response.choices] == [0, 1]


def test_stop_ends_the_text(client: openai.OpenAI) -> None:
    """The text ends before the stop text, which it would otherwise contain."""
    parameters = {"model": "ember", "messages": HELLO, "temperature": 0}
    whole = client.chat.completions.create(**parameters).choices[0].message.content  # type: ignore[call-overload]
    stop = whole[len(whole) // 2]
    cut = client.chat.completions.create(**parameters, stop=[stop]).choices[0]  # type: ignore[call-overload]

    assert cut.message.content == whole[: whole.index(stop)]
    assert cut.finish_reason == "stop"


def test_a_seed_repeats_the_text(client: openai.OpenAI) -> None:
    """The same seed gives the same words from the same component."""
    texts = {
        client.chat.completions.create(model="flint", messages=HELLO, seed=7, temperature=1)
        .choices[0]
        .message.content
        for _ in range(3)
    }

    assert len(texts) == 1


def test_logprobs_come_with_the_tokens(client: openai.OpenAI) -> None:
    """Each token has its log probability and the requested alternatives."""
    response = client.chat.completions.create(
        model="demo", messages=HELLO, logprobs=True, top_logprobs=2
    )

    logprobs = response.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 2 for token in logprobs.content)


def test_max_tokens_is_kept(client: openai.OpenAI) -> None:
    """A limit cuts the text, and the finish reason says so."""
    response = client.chat.completions.create(model="demo", messages=HELLO, max_tokens=2)

    assert response.choices[0].finish_reason == "length"
    assert response.usage is not None
    assert response.usage.completion_tokens == 2


def test_a_response_format_is_kept(client: openai.OpenAI) -> None:
    """Structured output reaches the engine: the text starts as a JSON object."""
    response = client.chat.completions.create(
        model="demo", messages=HELLO, response_format={"type": "json_object"}
    )

    assert (response.choices[0].message.content or "").lstrip().startswith("{")


def test_errors_by_type(client: openai.OpenAI) -> None:
    """Each kind of error raises the client's exception for it, with its code."""
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="nobody", messages=HELLO)
    with pytest.raises(openai.AuthenticationError) as stranger:
        client.with_options(api_key="wrong").models.list()
    with pytest.raises(openai.BadRequestError) as empty:
        client.chat.completions.create(model="demo", messages=[])
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model="demo", messages=HELLO, top_logprobs=99, logprobs=True)

    assert unknown.value.code == "model_not_found"
    assert stranger.value.code == "invalid_api_key"
    assert empty.value.param == "messages"
    assert wrong.value.type == "invalid_request_error"


def test_a_history_beyond_the_window_is_refused_with_the_limit(client: openai.OpenAI) -> None:
    """A history longer than the component's window gives 400 and names the limit."""
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(
            model="demo", messages=[{"role": "user", "content": "hello " * 5000}]
        )

    assert error.value.code == "context_length_exceeded"
    assert "1024" in error.value.message
