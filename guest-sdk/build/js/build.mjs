// Turns one JavaScript policy into a component: node build.mjs ENTRY WIT WORLD OUT.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { componentize } from '@bytecodealliance/componentize-js';

const [sourcePath, witPath, worldName, out] = process.argv.slice(2);
try {
  // A policy that never fetches would import wasi:http all the same, and its operator would have to allow it. Where a
  // policy does, the engine's own import must stay as well: it is the same one.
  const world = await readFile(join(witPath, 'built.wit'), 'utf8');
  const disableFeatures = world.includes('wasi:http/') ? ['fetch-event'] : ['http', 'fetch-event'];
  const { component } = await componentize({ sourcePath, witPath, worldName, disableFeatures });
  await writeFile(out, component);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
