// Checks the types of one policy in TypeScript and takes them out: node strip.mjs FOLDER. The JavaScript lies beside the
// sources then; what is wrong with the types goes to stderr, as `policy.ts(3,7): error TS2322: ...`.

import path from 'node:path';
import { argv, exit } from 'node:process';
import ts from 'typescript';

const folder = path.resolve(argv[2]);
const AUTHORS = path.join(folder, 'tsconfig.json');
// What an author who says nothing gets.
const DEFAULTS = { strict: true, noImplicitReturns: true };

const tell = (diagnostics) => {
  const host = { getCanonicalFileName: (name) => name, getCurrentDirectory: () => folder, getNewLine: () => '\n' };
  console.error(ts.formatDiagnostics(diagnostics, host).trimEnd());
  exit(1);
};

/** How strict the author's own file is; where anything goes to and comes from is settled here. */
function options() {
  const fixed = {
    lib: ['lib.es2023.d.ts'],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    noEmit: false,
    noEmitOnError: true,
    outDir: folder,
    rewriteRelativeImportExtensions: true,
    rootDir: folder,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    types: [],
  };
  if (!ts.sys.fileExists(AUTHORS)) {
    return { ...DEFAULTS, ...fixed };
  }
  const { config, error } = ts.readConfigFile(AUTHORS, ts.sys.readFile);
  if (error) {
    tell([error]);
  }
  const read = ts.parseJsonConfigFileContent({ ...config, files: ['policy.ts'] }, ts.sys, folder);
  if (read.errors.length > 0) {
    tell(read.errors);
  }
  return { ...read.options, ...fixed };
}

const files = ['policy.ts', path.join('sdk', 'globals.d.ts')].map((file) => path.join(folder, file));
const program = ts.createProgram(files, options());
const { diagnostics } = program.emit();
const all = ts.sortAndDeduplicateDiagnostics([...ts.getPreEmitDiagnostics(program), ...diagnostics]);
if (all.length > 0) {
  tell(all);
}
