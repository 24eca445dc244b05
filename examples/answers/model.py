"""The model: a small generator on this machine or, with OPENAI_API_KEY, a real one."""

import asyncio
import os
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

WORDS = int(os.environ.get("WORDS", "100"))


async def local(question: str) -> AsyncIterator[str]:
    """A Markov chain that has read the README of this example. It knows little, but it writes word by word."""
    read = (question + " " + Path(__file__).with_name("README.md").read_text()).split()
    following = defaultdict(list)
    for word, after in pairwise(read):
        following[word].append(after)
    word = read[0]
    for _ in range(WORDS):
        yield word + " "
        await asyncio.sleep(0.05)
        word = random.choice(following[word] or read)


async def real(question: str) -> AsyncIterator[str]:
    from openai import AsyncOpenAI

    ask = [{"role": "user", "content": question}]
    async for chunk in await AsyncOpenAI().chat.completions.create(model="gpt-4.1-mini", messages=ask, stream=True):
        yield "".join(choice.delta.content or "" for choice in chunk.choices)


answer = real if "OPENAI_API_KEY" in os.environ else local
