// Turns one JavaScript policy into a component: node build.mjs ENTRY WIT WORLD OUT.

import { writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';

const [sourcePath, witPath, worldName, out] = process.argv.slice(2);
try {
  // A policy that never fetches would import wasi:http all the same, and its operator would have to allow it.
  const disableFeatures = ['http', 'fetch-event'];
  const { component } = await componentize({ sourcePath, witPath, worldName, disableFeatures });
  await writeFile(out, component);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
