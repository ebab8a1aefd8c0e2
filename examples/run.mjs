// npm run example -- <name>: runs one of the examples, built.
import { readdirSync } from 'node:fs';

const directory = new URL('./dist/', import.meta.url);
const names = readdirSync(directory)
  .filter((file) => file.endsWith('.js') && !file.startsWith('chunk-'))
  .map((file) => file.slice(0, -3));
const [name, ...rest] = process.argv.slice(2);
if (name !== undefined && names.includes(name)) {
  process.argv.splice(1, process.argv.length, name, ...rest);
  await import(new URL(`${name}.js`, directory).href);
} else {
  process.stderr.write(`npm run example -- <name>, one of: ${names.join(', ')}\n`);
  process.exitCode = 2;
}
