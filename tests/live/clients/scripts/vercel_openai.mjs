// Vercel's AI SDK with its provider for OpenAI, which uses the Responses API.

import { createOpenAI } from "@ai-sdk/openai";
import { KEY, MODEL, URL } from "./report.mjs";
import { reportOf } from "./vercel.mjs";

await reportOf(createOpenAI({ baseURL: URL, apiKey: KEY })(MODEL));
