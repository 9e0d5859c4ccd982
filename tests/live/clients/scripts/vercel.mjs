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
