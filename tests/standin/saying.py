"""A tiny OpenAI-compatible server on loopback that answers by a function: for tests of the whole stack."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from tests.standin import serve


@contextlib.contextmanager
def serving(answer: Callable[[str], str], media: list[str] | None = None) -> Iterator[str]:
    """Serves `answer(text of the last user message)`; yields the base URL. `media` gets each image's URL."""

    class Handler(serve.Handler):
        def do_GET(self) -> None:
            self.send({"data": [{"id": "tiny", "max_model_len": 8192}]})

        def do_POST(self) -> None:
            asked = self.asked()
            if self.path.endswith("/tokenize"):
                self.send({"count": len(str(asked["messages"])) // 4})
                return
            content = asked["messages"][-1]["content"]
            if not isinstance(content, str):
                media_here = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
                (media if media is not None else []).extend(media_here)
                content = "".join(part["text"] for part in content if part["type"] == "text")
            said = answer(content)
            if not asked.get("stream"):
                self.say("Hello there.")
                return
            self.begin()
            with contextlib.suppress(OSError):  # whoever asked has gone
                self.word(said)
                self.word(finish="stop")
                self.end(50, 20)

    with serve.serving(Handler) as root:
        yield f"{root}/v1"
