// Vercel's AI SDK with its provider for OpenAI-compatible APIs.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { KEY, MODEL, URL } from "./report.mjs";
import { reportOf } from "./vercel.mjs";

const options = { name: "blended", baseURL: URL, apiKey: KEY, supportsStructuredOutputs: true };
await reportOf(createOpenAICompatible(options)(MODEL));
