// OpenAI's client for Node, with chats.

import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { ABOUT, Arguments, KEY, MODEL, Mood, report, SUNNY, URL } from "./report.mjs";

const client = new OpenAI({ baseURL: URL, apiKey: KEY, maxRetries: 0 });
const chats = client.chat.completions;
const tools = [zodFunction({ name: "weather", description: ABOUT, parameters: Arguments })];
const ask = (prompt, more) => ({
  model: MODEL,
  messages: [{ role: "user", content: prompt }],
  ...more,
});
const called = (message) => {
  const { name, arguments: text } = message.tool_calls[0].function;
  return { [name]: JSON.parse(text) };
};

await report({
  async plain(prompt) {
    return (await chats.create(ask(prompt))).choices[0].message.content;
  },

  async stream(prompt) {
    const pieces = [];
    for await (const chunk of await chats.create(ask(prompt, { stream: true }))) {
      pieces.push(chunk.choices[0].delta.content);
    }
    return pieces;
  },

  async turns(prompt) {
    const { messages } = ask(prompt);
    const said = (await chats.create(ask(prompt))).choices[0].message;
    messages.push(said, { role: "user", content: "And?" });
    const then = (await chats.create({ model: MODEL, messages })).choices[0].message;
    return [said.content, then.content];
  },

  async tools(prompt) {
    const first = ask(prompt, { tools });
    const said = (await chats.create(first)).choices[0].message;
    const result = { role: "tool", tool_call_id: said.tool_calls[0].id, content: SUNNY };
    const messages = [...first.messages, said, result];
    const then = (await chats.create({ ...first, messages })).choices[0].message.content;
    return { ...called(said), then };
  },

  async tool_stream(prompt) {
    return called(await chats.stream(ask(prompt, { tools })).finalMessage());
  },

  async structured(prompt) {
    const form = { response_format: zodResponseFormat(Mood, "Mood") };
    return (await chats.parse(ask(prompt, form))).choices[0].message.parsed;
  },
});
