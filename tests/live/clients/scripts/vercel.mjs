// What a model of Vercel's AI SDK sees, whichever provider it comes from.

import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { ABOUT, Arguments, Mood, report, SUNNY } from "./report.mjs";

export const reportOf = (model) => {
  const called = [];
  const weather = tool({
    description: ABOUT,
    inputSchema: Arguments,
    execute: async (input) => {
      called.push(input);
      return SUNNY;
    },
  });
  const ask = (prompt, more) => ({ model, prompt, maxRetries: 0, ...more });
  const withTools = { tools: { weather }, stopWhen: stepCountIs(2) };

  return report({
    async plain(prompt) {
      return (await generateText(ask(prompt))).text;
    },

    async stream(prompt) {
      const pieces = [];
      for await (const piece of streamText(ask(prompt)).textStream) pieces.push(piece);
      return pieces;
    },

    async turns(prompt) {
      const user = (content) => ({ role: "user", content });
      const said = await generateText(ask(prompt));
      const messages = [user(prompt), ...said.response.messages, user("And?")];
      // Without this the provider for OpenAI names what was said by its id, as if it were stored.
      const providerOptions = { openai: { store: false } };
      const then = await generateText({ model, messages, providerOptions, maxRetries: 0 });
      return [said.text, then.text];
    },

    async tools(prompt) {
      const then = (await generateText(ask(prompt, withTools))).text;
      return { weather: called.pop(), then };
    },

    async tool_stream(prompt) {
      const then = await streamText(ask(prompt, withTools)).text;
      return { weather: called.pop(), then };
    },

    async structured(prompt) {
      return (await generateText(ask(prompt, { output: Output.object({ schema: Mood }) }))).output;
    },
  });
};
