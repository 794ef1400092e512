/** `node api/write-openapi.ts` writes openapi.json; with `--check` it only says whether the committed file is stale (exit 1). */
import { readFileSync, writeFileSync } from 'node:fs';
import { allOperations } from './contract.ts';
import { openApiDocument } from './openapi.ts';

const file = new URL('openapi.json', import.meta.url);
const { version } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8')) as { version: string };
const wanted = `${JSON.stringify(openApiDocument(allOperations, version), null, 1)}\n`;

if (process.argv.includes('--check')) {
  if (read() !== wanted) {
    console.error('api/openapi.json is stale: run node api/write-openapi.ts');
    process.exitCode = 1;
  }
} else {
  writeFileSync(file, wanted);
}

function read(): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
