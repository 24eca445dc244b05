"""Libraries of other ecosystems speak with the hub unchanged."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hubs import Server
from mercures import PATH, follow, with_token
from programs import tool

SCRIPT = Path(__file__).parent / "symfony.php"


async def test_symfony_publishes_several_topics_private_id_type_and_retry(guarded: Server) -> None:
    php = tool("php", "php-cli php-curl php-symfony-mercure")
    everything = with_token(publish=["*"], subscribe=["*"])
    token = everything["Authorization"].removeprefix("Bearer ")
    async with follow(guarded, "https://e.com/books/{id}", everything) as stream:
        process = await asyncio.create_subprocess_exec(
            php, str(SCRIPT), guarded.url + PATH, token, stdout=asyncio.subprocess.PIPE
        )
        printed, _ = await process.communicate()
        assert process.returncode == 0, printed
        private, public = await stream.take(2)
    assert printed.decode().split() == [private.id, public.id]
    assert (private.id, private.type, private.data) == ("urn:id:1", "news", '{"title":1}\nline 2')
    assert stream.parser.retry_ms == 5000
    assert (public.type, public.data) == ("message", "public")
