/**
 * What a real Xen answered to the scripts, as text: the version of Xen, then each script's name with a digest of its operations
 * and below it one line an operation. The differential job writes it; beside this file lie such runs, named by that version.
 */
import { createHash } from 'node:crypto';
import type { ScriptOperation } from './grant-script';

export interface RecordedScript {
  readonly name: string;
  readonly digest: string;
  readonly answers: readonly string[];
}

export interface Recording {
  readonly xenVersion: string;
  readonly scripts: readonly RecordedScript[];
}

/** Tells a script from what it was when answers to it were recorded. */
export function scriptDigest(script: readonly ScriptOperation[]): string {
  return createHash('sha256').update(JSON.stringify(script)).digest('hex').slice(0, 16);
}

export function recordingText(recording: Recording): string {
  const lines = [`Xen ${recording.xenVersion}`];
  for (const { name, digest, answers } of recording.scripts) lines.push(`# ${digest} ${name}`, ...answers);
  return `${lines.join('\n')}\n`;
}

export function parseRecording(text: string): Recording {
  const [first = '', ...lines] = text.trimEnd().split('\n');
  const scripts: { name: string; digest: string; answers: string[] }[] = [];
  for (const line of lines) {
    const [, digest, name] = /^# ([0-9a-f]{16}) (.*)$/.exec(line) ?? [];
    if (digest !== undefined && name !== undefined) scripts.push({ name, digest, answers: [] });
    else scripts.at(-1)?.answers.push(line);
  }
  return { xenVersion: first.replace(/^Xen /, ''), scripts };
}
