// promptfoo's evaluations, with its providers for OpenAI's chats and Responses.

import promptfoo from "promptfoo";
import { ABOUT, KEY, MODEL, report, URL } from "./report.mjs";

const place = { apiBaseUrl: URL, apiKey: KEY };
const text = { type: "string" };
const parameters = {
  type: "object",
  properties: { place: text, days: { type: "integer" } },
  required: ["place", "days"],
  additionalProperties: false,
};
const weather = { name: "weather", description: ABOUT, parameters };
const mood = {
  type: "object",
  properties: {
    name: text,
    mood: { enum: ["calm", "merry"] },
    friends: { type: "array", items: text },
  },
  required: ["name", "mood", "friends"],
  additionalProperties: false,
};
const form = {
  type: "json_schema",
  json_schema: { name: "Mood", schema: mood, strict: true },
};

// The output of one prompt, if its assertion holds.
async function evaluated(prompt, api, options, assertion) {
  const provider = { id: `openai:${api}:${MODEL}`, config: { ...place, ...options } };
  const suite = { prompts: [prompt], providers: [provider], tests: [{ assert: [assertion] }] };
  const evaluation = await promptfoo.evaluate(suite, { cache: false });
  const [result] = (await evaluation.toEvaluateSummary()).results;
  if (!result.success) throw new Error(result.error);
  return result.response.output;
}

await report({
  async plain(prompt) {
    return evaluated(prompt, "chat", {}, { type: "contains", value: "simulated" });
  },

  async tools(prompt) {
    const tools = [{ type: "function", function: weather }];
    const valid = { type: "is-valid-openai-tools-call" };
    const [call] = await evaluated(prompt, "chat", { tools }, valid);
    return { [call.function.name]: JSON.parse(call.function.arguments) };
  },

  async structured(prompt) {
    return evaluated(prompt, "chat", { response_format: form }, { type: "is-json", value: mood });
  },

  async responses(prompt) {
    return evaluated(prompt, "responses", {}, { type: "contains", value: "simulated" });
  },
});
