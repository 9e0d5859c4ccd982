"""A hundred files with one mistake each: the line of the mistake, and what is said of it."""

from dataclasses import dataclass

HEAD = "name: x\ncomponents:\n"
SIMULATED = HEAD + "  - {id: a, kind: simulated}\n"
REMOTE = "  - {id: a, kind: remote, model: m, base_url: https://h/v1"
ENGINE = "  - {id: a, kind: vllm, engine: {model: org/m"
EXPERIMENT = "experiments:\n  - {name: e, start: 2027-01-01, end: 2027-02-01, control: a, "


@dataclass(frozen=True)
class Wrong:
    """A file, the line of its mistake, and what is said of it there."""

    text: str
    line: int
    said: str


def engine(fields: str, said: str, line: int = 3) -> Wrong:
    """A blend of one engine with more fields."""
    return Wrong(f"{HEAD}{ENGINE}, {fields}}}}}\n", line, f"components[0].engine.{said}")


def simulated(fields: str, said: str) -> Wrong:
    """A blend of one simulated component with more fields."""
    return Wrong(f"{HEAD}  - {{id: a, kind: simulated, {fields}}}\n", 3, f"components[0].{said}")


def remote(fields: str, said: str) -> Wrong:
    """A blend of one remote component with more fields."""
    return Wrong(f"{HEAD}{REMOTE}, {fields}}}\n", 3, f"components[0].{said}")


def service(fields: str, said: str) -> Wrong:
    """A blend that is right up to its fourth line; the mistake is in its last."""
    return Wrong(f"{SIMULATED}{fields}\n", 4 + fields.count("\n"), said)


WRONG = {
    # Candidates, and the reward model.
    "candidates without a model": simulated(
        "best_of: 4", "best_of: no reward model chooses among the candidates; add 'reward'"
    ),
    "an arm's candidates without a model": Wrong(
        f"{SIMULATED}{EXPERIMENT}arms: [{{id: a}}, {{id: b,\n    best_of: 2}}]}}\n",
        6,
        "experiments[0].arms[1].best_of: no reward model chooses among the candidates",
    ),
    "no number of candidates": simulated(
        "best_of: many", "best_of: 'many' is not valid: write a whole number of candidates, or a"
    ),
    "early candidates of a remote API": Wrong(
        f"reward: {{kind: simulated}}\n{HEAD}{REMOTE},\n    best_of: {{k: 4, early: 24}}}}\n",
        5,
        "components[0].best_of.early: 'a' is a remote API, which cannot go on with a response",
    ),
    "early candidates of a model that thinks": Wrong(
        f"reward: {{kind: simulated}}\n{HEAD}{ENGINE}, args: {{reasoning_parser: qwen3}}}},\n"
        "    best_of: {k: 4, early: 24}}\n",
        5,
        "components[0].best_of.early: 'a' thinks before it answers",
    ),
    "a component called reward": Wrong(
        "reward: {kind: simulated}\n" + HEAD + "  - {id: reward, kind: simulated}\n",
        4,
        "components[0].id: 'reward' is the name of the reward model",
    ),
    "a kind of reward model": service(
        "reward: {kind: remote}",
        "reward.kind: 'remote' is unknown; there are vllm, local, simulated",
    ),
    "a reward model's key": service(
        "reward: {kind: local, model: m.npz, correlation: 1}",
        "reward.correlation: unknown key 'correlation'",
    ),
    "more tokens than the reward model takes": service(
        "reward: {kind: vllm, tokens: 512, engine: {model: org/m, max_model_len: 256}}",
        "reward.tokens: the last 512 tokens are scored, and the engine takes 256",
    ),
    "a reward model's argument": service(
        "reward: {kind: vllm, engine: {model: org/m, args: {enforce_eager: 1}}}",
        "reward.engine.args.enforce_eager: 1 is not valid: write true or false",
    ),
    # What cannot run.
    "accelerator": engine(
        "accelerator: L4OS", "accelerator: 'L4OS' is not valid: did you mean 'L40S'?"
    ),
    "no accelerator": engine("accelerator: big", "accelerator: 'big' is not valid: write cpu, or "),
    "lower case": engine("accelerator: h100", "accelerator: 'h100' is not valid: did you mean 'H1"),
    "engine argument": engine(
        "args: {enable_prefix_cachng: true}",
        "args.enable_prefix_cachng: 'enable_prefix_cachng' is not valid: vLLM has no such argument;"
        " did you mean 'enable_prefix_caching'?",
    ),
    "made-up argument": engine(
        "args: {warp: 9}",
        "args.warp: 'warp' is not valid: vLLM has no such argument; remove it, or see vLLM's",
    ),
    "stated twice": engine(
        "args: {tensor_parallel_size: 2}",
        "args.tensor_parallel_size: 'tensor_parallel_size' is not valid: a blend's file states it "
        "in engine.tensor_parallel_size; write it there",
    ),
    "served name": engine("args: {served_model_name: b}", "args.served_model_name: 'served_model_"),
    "heads": Wrong(
        HEAD + "  - id: a\n    kind: vllm\n    engine:\n      model: demo:ember\n"
        "      tensor_parallel_size: 3\n",
        7,
        "components[0].engine.tensor_parallel_size: the 4 attention heads of 'demo:ember' cannot be"
        " shared by 3 GPUs; write one of 1, 2, 4",
    ),
    "relative folder": Wrong(
        f"{HEAD}{ENGINE.replace('org/m', './no/such')}}}}}\n",
        3,
        "components[0].engine.model: './no/such' is not on this machine, seen from '",
    ),
    "template's file": engine(
        "chat_template: ./no.jinja", "chat_template: './no.jinja' is not on this machine"
    ),
    "demo model": Wrong(
        f"{HEAD}{ENGINE.replace('org/m', 'demo:embr')}}}}}\n",
        3,
        "components[0].engine.model: 'demo:embr' is not valid: there is no such demo model; write "
        "one of demo:ember, demo:flint, demo:willow",
    ),
    "reward model": Wrong(
        f"{HEAD}{ENGINE.replace('org/m', 'demo:reward')}}}}}\n",
        3,
        "components[0].engine.model: demo:reward scores responses and gives none; write one of",
    ),
    "negative CPUs": engine("cpus: -1", "cpus: -1 is not valid: write 0 or more"),
    "argument like a token": engine(
        "args: {hf_overides: {}}",
        "args.hf_overides: 'hf_overides' is not valid: vLLM has no such argument; did you mean "
        "'hf_overrides'?",
    ),
    "argument's number": engine(
        "args: {max_num_seqs: many}",
        "args.max_num_seqs: 'many' is not valid: write a whole number in digits alone",
    ),
    "argument's share": engine(
        "args: {gpu_memory_utilization: 90%}",
        "args.gpu_memory_utilization: '90%' is not valid: write a number without a unit",
    ),
    "argument's truth": engine(
        "args: {enforce_eager: 1}", "args.enforce_eager: 1 is not valid: write true or false"
    ),
    "argument's choice": engine(
        "args: {dtype: bfloat17}", "args.dtype: 'bfloat17' is not valid: did you mean 'bfloat16'? T"
    ),
    "spaces in a model's id": Wrong(
        f"{HEAD}{ENGINE.replace('org/m', 'org m')}}}}}\n",
        3,
        "components[0].engine.model: 'org m' is not valid: write a Hugging Face id, such as Qwen/Q",
    ),
    "page of a model": Wrong(
        f"{HEAD}{ENGINE.replace('org/m', 'https://huggingface.co/org/m')}}}}}\n",
        3,
        "components[0].engine.model: 'https://huggingface.co/org/m' is not valid: write the id al",
    ),
    "demo model's bare name": Wrong(
        f"{HEAD}{ENGINE.replace('org/m', 'ember')}}}}}\n",
        3,
        "components[0].engine.model: 'ember' is not valid: that is a demo model; write demo:ember",
    ),
    "template in a folder": engine(
        "chat_template: no/chat.jinja", "chat_template: 'no/chat.jinja' is not on this machine"
    ),
    "template's text": engine(
        "chat_template: '{% if x %}'", "chat_template: the template is no Jinja: Unexpected end of "
    ),
    "no GPU": engine(
        "tensor_parallel_size: 0", "tensor_parallel_size: 0 is not valid: write 1 or more"
    ),
    "short context": engine("max_model_len: 4", "max_model_len: 4 is not valid: write 16 or more"),
    # Keys.
    "components": Wrong(
        "name: x\ncomponets: [{id: a, kind: simulated}]\nselection: {weights: {a: 1}}\n",
        2,
        "componets: unknown key 'componets'; did you mean 'components'?",
    ),
    "name": Wrong(
        "nmae: x\ncomponents: [{id: a, kind: simulated}]\n",
        1,
        "nmae: unknown key 'nmae'; did you mean 'name'?",
    ),
    "no name": Wrong("components: [{id: a, kind: simulated}]\n", 1, "name: this key is required; "),
    "no components": Wrong("name: x\n", 1, "components: this key is required; add it"),
    "empty components": Wrong("name: x\ncomponents: []\n", 2, "components: a blend needs at least"),
    "model": Wrong(
        f"{HEAD}{ENGINE.replace('model', 'modle')}}}}}\n",
        3,
        "components[0].engine.modle: unknown key 'modle'; did you mean 'model'?",
    ),
    "wrong level": Wrong(
        f"{HEAD}{ENGINE}}}, accelerator: L4}}\n",
        3,
        "components[0].accelerator: unknown key 'accelerator'; it belongs under 'engine', beside",
    ),
    "made-up key": service("colour: red", "colour: unknown key 'colour'; remove it: the keys here"),
    "nested key": simulated(
        "replicas: {max_ongoing_reqests: 4}",
        "replicas.max_ongoing_reqests: unknown key 'max_ongoing_reqests'; did you mean 'max_ongoin",
    ),
    "key twice": Wrong(
        "name: x\ncomponents: [{id: a, kind: simulated}]\nname: y\n",
        3,
        "this is not valid YAML: the key 'name' stands here twice; remove one, or begin a new entr",
    ),
    "key of another system": engine(
        "gpus: 2", "gpus: unknown key 'gpus'; did you mean 'tensor_parallel_size'?"
    ),
    "key in the file": remote(
        "api_key: x", "api_key: unknown key 'api_key'; put its value into a variable of the router"
    ),
    "key of another kind": remote(
        "replicas: {max: 2}", "replicas: unknown key 'replicas'; it belongs to another place or kin"
    ),
    "key with an odd space": service(
        "\u00a0api: {}", "\u00a0api: unknown key '\\xa0api'; did you mean 'api'?"
    ),
    # Kinds and choices.
    "kind": Wrong(
        HEAD + "  - {id: a, kind: remot, model: m, base_url: https://h/v1}\n",
        3,
        "components[0].kind: 'remot' is unknown; did you mean 'remote'? There are vllm, remote",
    ),
    "no kind": Wrong(
        HEAD + "  - {id: a}\n",
        3,
        "components[0].kind: this key is required; write kind: vllm, remote, simulated",
    ),
    "choice": simulated(
        "history: {system: kepe}",
        "history.system: 'kepe' is unknown; did you mean 'keep'? There are keep, fold, drop",
    ),
    "dialect": remote(
        "dialect: anthropic", "dialect: 'anthropic' is unknown; there are compatible"
    ),
    "capability": simulated("capabilities: [tool]", "capabilities[0]: 'tool' is unknown; did you"),
    # Types.
    "id no": Wrong(
        HEAD + "  - {id: no, kind: simulated}\n",
        3,
        "components[0].id: no is not valid: YAML reads it as false; quote it: 'no'",
    ),
    "id number": Wrong(
        HEAD + "  - {id: 007, kind: simulated}\n",
        3,
        "components[0].id: 007 is not valid: YAML reads no text; quote it: '007'",
    ),
    "id date": Wrong(
        HEAD + "  - {id: 2027-01-31, kind: simulated}\n",
        3,
        "components[0].id: 2027-01-31 is not valid: YAML reads no text; quote it: '2027-01-31'",
    ),
    "id without value": Wrong(
        HEAD + "  - {id: , kind: simulated}\n",
        3,
        "components[0].id: nothing is not valid: write a value behind the colon",
    ),
    "id in capitals": Wrong(
        HEAD + "  - {id: Big_Model, kind: simulated}\n",
        3,
        "components[0].id: 'Big_Model' is not valid: write at most 40 lower-case letters, digits",
    ),
    "word for a number": simulated(
        "simulation: {tokens: many}", "simulation.tokens: 'many' is not valid: write a whole number"
    ),
    "unit": simulated(
        "simulation: {tokens: 16k}",
        "simulation.tokens: '16k' is not valid: write a whole number in digits alone",
    ),
    "percent": service(
        "selection: {weights: {a: 75%}}",
        "selection.weights.a: '75%' is not valid: write a number without a unit, such as 0.5 or",
    ),
    "number of base 60": simulated(
        "replicas: {max: 1:30}", "replicas.max: '1:30' is not valid: write a whole number in digits"
    ),
    "letter that looks like another": Wrong(
        HEAD + "  - {id: \u0430, kind: simulated}\n",
        3,
        "components[0].id: '\u0430' is not valid: write at most 40 lower-case letters, digits and "
        "dashes, with no dash at the ends; '\u0430' (U+0430) is none of them",
    ),
    "decimal comma": simulated(
        "sampling: {top_p: {default: 0,9}}",
        "sampling.top_p: the key 9 is not valid: write a decimal point for a comma; the keys here ",
    ),
    "number as a key": Wrong(
        HEAD + "  - {id: '8', kind: simulated}\nselection: {weights: {8: 1}}\n",
        4,
        "selection.weights: the key 8 is not valid: YAML reads no text; quote it: '8'",
    ),
    "no as a key": Wrong(
        HEAD + "  - {id: 'no', kind: simulated}\nselection:\n  weights:\n    no: 1\n",
        6,
        "selection.weights: the key no is not valid: YAML reads it as false; quote it: 'no'",
    ),
    "limit with all digits": service(
        "journal: {spool: {max_bytes: 100}}",
        "journal.spool.max_bytes: 100 is not valid: write 1048576 or more",
    ),
    "half a token": simulated(
        "simulation: {tokens: 2.5}", "simulation.tokens: 2.5 is not valid: write a whole number"
    ),
    "yes for a number": simulated(
        "replicas: {min: yes}", "replicas.min: yes is not valid: write a number; YAML reads yes, no"
    ),
    "word for a truth": service(
        "api: {reveal_component: maybe}",
        "api.reveal_component: 'maybe' is not valid: write true or false",
    ),
    "list for a mapping": Wrong(
        HEAD + "  - {id: a, kind: vllm, engine: [org/m]}\n",
        3,
        "components[0].engine: a list stands here; write a mapping with keys of: accelerator",
    ),
    "text for a component": Wrong(
        HEAD + "  - ember\n", 3, "components[0]: a text stands here; write a mapping with keys of: "
    ),
    "mapping for a list": service(
        "experiments: {name: e}",
        "experiments: a mapping is not valid: write a list, each entry beh",
    ),
    "list for the file": Wrong(
        "- name: x\n", 1, "the file: a list stands here; write a mapping wi"
    ),
    "bound": simulated(
        "sampling: {top_p: high}",
        "sampling.top_p: 'high' is not valid: write one number, or some of min, default and max",
    ),
    "more than an API takes": simulated(
        "sampling: {top_p: 95}", "sampling.top_p: default 95 is too high; write 1 or less"
    ),
    "less than an API takes": simulated(
        "sampling: {temperature: {min: -1}}",
        "sampling.temperature: min -1 is too low; write 0 or more",
    ),
    "capacity of the router": service(
        "router: {replicas: {capacity: [1]}}",
        "router.replicas.capacity: a list is not valid: it cannot be set here; remove the key",
    ),
    # Between fields.
    "weight of nobody": service(
        "selection: {weights: {a: 1, bob: 1}}",
        "selection.weights.bob: there is no component 'bob'; the components are a",
    ),
    "no weight": Wrong(
        SIMULATED + "  - {id: b, kind: simulated}\nselection:\n  weights: {a: 1}\n",
        6,
        "selection.weights: component 'b' has no weight; write 0 for one that must not be drawn",
    ),
    "negative weight": service(
        "selection: {weights: {a: -1}}", "selection.weights.a: -1 is not valid: write 0 or more"
    ),
    "all weights 0": service(
        "selection: {weights: {a: 0}}", "selection.weights: all weights are 0"
    ),
    "blend's own id": Wrong(
        HEAD + "  - {id: x, kind: simulated}\n", 3, "components[0].id: 'x' is also the name of the"
    ),
    "min above max": simulated("replicas: {min: 3, max: 2}", "replicas: min 3 is above max 2; "),
    "capacity falls": simulated(
        "replicas: {capacity: [2, 1]}", "replicas.capacity: a list is not valid: more replicas"
    ),
    "queue": simulated(
        "replicas: {target_ongoing_requests: 99}",
        "replicas: target_ongoing_requests 99 is above max_ongoing_requests 64",
    ),
    # Remote components and the API.
    "no scheme": Wrong(
        f"{HEAD}{REMOTE.replace('https://', '')}}}\n",
        3,
        "components[0].base_url: 'h/v1' is not valid: write an address like https://api.example.org",
    ),
    "endpoint": Wrong(
        f"{HEAD}{REMOTE}/chat/completions}}\n",
        3,
        "components[0].base_url: the router adds /chat/completions itself; end the address before",
    ),
    "port": Wrong(
        f"{HEAD}{REMOTE.replace('h/v1', 'h:port/v1')}}}\n",
        3,
        "components[0].base_url: what stands behind the host's colon is no port; write a number",
    ),
    "origin": service(
        "api: {cors_origins: ['http://x/']}",
        "api.cors_origins[0]: 'http://x/' is not valid: write scheme, host and port alone",
    ),
    "store": service(
        "api: {shared_store: redis}",
        "api.shared_store: 'redis' is not valid: write memory:// or redis://host:6379",
    ),
    # Experiments.
    "one arm": service(
        EXPERIMENT + "arms: [{id: a}]}",
        "experiments[0].arms: a list is not valid: write 2 entries or",
    ),
    "no time": service(
        EXPERIMENT.replace("2027-02-01", "soon") + "arms: [{id: a}, {id: b}]}",
        "experiments[0].end: 'soon' is not valid: write a time like 2027-01-31 or 2027-01-31T12",
    ),
    "seconds since 1970": service(
        EXPERIMENT.replace("2027-01-01", "20270101") + "arms: [{id: a}, {id: b}]}",
        "experiments[0].start: 20270101 is not valid: write a time like 2027-01-31 or 2027-01-31T1",
    ),
    "mistake in one of two arms": service(
        EXPERIMENT + "arms: [{id: a}, {id: b, share: 0}]}",
        "experiments[0].arms[1].share: 0 is not valid: write more than 0",
    ),
    "slice that ends before it begins": service(
        EXPERIMENT + "users: [0.5, 0.2], arms: [{id: a}, {id: b}]}",
        "experiments[0].users: the slice from 0.5 to 0.2 holds nobody; write an end above the star",
    ),
    "no control": service(
        EXPERIMENT.replace("control: a", "control: z") + "arms: [{id: a}, {id: b}]}",
        "experiments[0].control: there is no arm 'z'; the arms are a, b",
    ),
    # Policies.
    "policy without a version": service(
        "selection: {policy: friends-1}",
        "selection.policy: 'friends-1' is not valid: write name@version, as `blended learn fit`",
    ),
    "latest policy": service(
        "selection: {policy: friends-1@latest}",
        "selection.policy.version: 'latest' is not valid: write the 12 digits and letters that",
    ),
    "policy and seats": service(
        "selection: {per_conversation: 2, policy: friends-1@0123456789ab}",
        "selection.policy: a policy gives every response its own probabilities, which the seats of",
    ),
    "policy of an arm, and seats": service(
        EXPERIMENT
        + "arms: [{id: a}, {id: b, per_conversation: 2, policy: friends-1@0123456789ab}]}",
        "experiments[0].arms[1].policy: a policy gives every response its own probabilities, which",
    ),
    "floor above all": Wrong(
        SIMULATED.replace("{id: a", "{id: b")
        + "  - {id: a, kind: simulated}\n  - {id: c, kind: simulated}\n"
        + "selection: {policy: {name: p, version: 0123456789ab, floor: 0.4}}\n",
        6,
        "selection.policy: a floor of 0.4 for each of 3 components leaves nothing to decide; write",
    ),
    # YAML itself.
    "tab": Wrong("name: x\n\tcomponents: []\n", 2, "this is not valid YAML: a tab; indent with sp"),
    "open list": Wrong("name: x\ncomponents: [\n", 3, "this is not valid YAML: an indentation, a "),
    "open quote": Wrong(
        'name: "x\n', 2, "this is not valid YAML: a quote or a bracket that is nev"
    ),
    "backslash": Wrong(
        'name: "x\\q"\n', 1, "this is not valid YAML: a backslash in double quotes that begins no "
    ),
    "merged text": Wrong(
        "api: {<<: x}\n", 1, "this is not valid YAML: what << merges is no mapping; write an alias"
    ),
    "percent sign": Wrong("name: %x\n", 1, "this is not valid YAML: a tab, @, ` or %; indent with"),
    "bell": Wrong(
        "name: x\n# \a\n", 2, "this is not valid YAML: an invisible character (U+0007); remove it"
    ),
    "odd space": Wrong(
        HEAD + "  - id: a\n\u00a0\u00a0kind: simulated\n    replicas: {max: 2}\n",
        4,
        "this is not valid YAML: an invisible character (U+00A0); indent with plain spaces",
    ),
    "colon": Wrong("name: a: b\n", 1, "this is not valid YAML: a colon that cannot stand here; "),
    "indentation": Wrong(
        HEAD + "  - id: a\n   kind: simulated\n", 4, "this is not valid YAML: an indentation"
    ),
    "alias": Wrong(
        "name: *x\n", 1, "this is not valid YAML: an alias for which there is no anchor"
    ),
    "tag": Wrong(
        "name: !env X\n", 1, "this is not valid YAML: a tag (!) that is not known; remove"
    ),
    "impossible day": Wrong(
        "name: 2027-13-45\n", 1, "this is not valid YAML: a date or a number that does not exist"
    ),
    "two documents": Wrong(
        "name: x\n---\nname: y\n", 2, "this is not valid YAML: a second document"
    ),
}
