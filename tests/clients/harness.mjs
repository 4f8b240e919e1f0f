// What the scripts of clients for Node share: the address of the host, a tool, and how an outcome is told. The same as
// harness.py, for the same table.

import assert from "node:assert/strict";

export const HOST = process.env.SIGNALBOX_CLIENTS_HOST;
export const V1 = `${HOST}/v1`;
// Toy experts of the demo: one that talks, one that sees.
export const GENERAL = "phi4_fast";
export const SEEING = "gemma3_multimodal";
export const HELLO = "Hello! I am fine, thank you. How can I help you today?";
export const PICTURE = process.env.SIGNALBOX_CLIENTS_PICTURE;
export const WEATHER = {
  type: "object",
  properties: { city: { enum: ["Bilbao", "Vigo"] } },
  required: ["city"],
  additionalProperties: false,
};

export const same = assert.deepEqual;
export const holds = assert.ok;

/** Holds a call's arguments to the schema. */
export function weather(city) {
  holds(["Bilbao", "Vigo"].includes(city), `the city is ${city}`);
}

/** Tells the outcome of every check. */
export async function run(checks) {
  let failed = false;
  for (const [feature, check] of Object.entries(checks)) {
    let outcome = "works";
    let detail = "";
    try {
      await check();
    } catch (error) {
      [failed, outcome, detail] = [true, "fails", String(error?.stack ?? error).slice(0, 400)];
    }
    console.log(JSON.stringify({ feature, outcome, detail }));
  }
  process.exit(failed ? 1 : 0);
}
