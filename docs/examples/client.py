"""A conversation with a blend, streamed, and a thumb for the last response.

pip install openai
BLENDED_URL=http://127.0.0.1:8000 BLENDED_API_KEY=… python docs/examples/client.py MODEL
"""

import os
import sys

import openai

url, key, model = os.environ["BLENDED_URL"], os.environ["BLENDED_API_KEY"], sys.argv[1]
client = openai.OpenAI(base_url=f"{url}/v1", api_key=key)
# The user decides the arm of an experiment, the conversation the replica of a component.
headers = {"X-User-ID": "robin", "X-Conversation-ID": "robin's first"}
messages = []
response_id = ""
for question in ("Hello! My name is Robin.", "What is my name?"):
    messages.append({"role": "user", "content": question})
    answer = ""
    with client.chat.completions.create(
        model=model, messages=messages, stream=True, extra_headers=headers
    ) as stream:
        for chunk in stream:
            response_id = chunk.id
            text = chunk.choices[0].delta.content if chunk.choices else None
            answer += text or ""
            print(text or "", end="", flush=True)
    print()
    messages.append({"role": "assistant", "content": answer})

feedback = {"response_id": response_id, "thumb": "up"}
print(client.post("/feedback", body=feedback, cast_to=object))
