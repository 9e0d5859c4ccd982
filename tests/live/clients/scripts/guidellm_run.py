"""GuideLLM, which measures an API: one conversation of two turns, the first with a tool."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from report import HOST, KEY, MODEL, report

# Any tokenizer will do, and this one is here.
TOKENIZER = Path(__file__).parents[4] / "serve" / "blended" / "demo" / "models" / "ember"


def benchmark(_):
    found = Path(tempfile.mkdtemp()) / "report.json"
    options = {
        "backend": f"kind=openai_http,target={HOST},model={MODEL},api_key={KEY}",
        "profile": "kind=synchronous",
        "constraint": "kind=max_requests,count=3",
        "data": "kind=synthetic_text,prompt_tokens=20,output_tokens=10,turns=2,tool_call_turns=1",
        "tokenizer": f"kind=hf_auto,model={TOKENIZER}",
        "output": f"kind=json,path={found}",
    }
    program = Path(sys.executable).with_name("guidellm")
    arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
    subprocess.run([program, "run", *arguments, "--disable-console"], check=True)
    [measured] = json.loads(found.read_text())["benchmarks"]
    ends = ("successful", "errored", "incomplete")
    return {end: [one["response_id"] for one in measured["requests"][end]] for end in ends}


report(benchmark)
