// What the scripts for Node share; the same as report.py.

import path from "node:path";
import { z } from "zod";

export const URL = `${process.env.BLEND_URL}/v1`;
export const KEY = process.env.BLEND_KEY;
export const MODEL = "clients";
export const ABOUT = "The weather of a place.";
export const SUNNY = "sunny";

export const Arguments = z.object({ place: z.string(), days: z.number() });
export const Mood = z.object({
  name: z.string(),
  mood: z.enum(["calm", "merry"]),
  friends: z.array(z.string()),
});

// Do each thing with a prompt that names it, and print one line of JSON: what each saw.
export async function report(things) {
  const client = path.basename(process.argv[1], ".mjs");
  const seen = {};
  for (const [name, thing] of Object.entries(things)) {
    try {
      seen[name] = await thing(`Hello! [${client} ${name}]`);
    } catch (error) {
      seen[name] = { error: String(error) };
    }
  }
  console.log(JSON.stringify(seen));
}
