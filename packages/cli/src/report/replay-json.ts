import type { ReplayReport } from '../replay/replay';
import type { PathResult } from '../replay/run-path';

/** What `nc2 replay --json` prints. */
export interface ReplayJson {
  readonly ok: boolean;
  readonly capture: { readonly file: string; readonly frames: number; readonly bytes: number };
  readonly paths: readonly PathResult[];
}

export function replayJson(report: ReplayReport): ReplayJson {
  const { ok, capture, paths } = report;
  return {
    ok,
    capture: { file: capture.file, frames: capture.frames.length, bytes: capture.byteLength },
    paths: paths.map((path) => path.result),
  };
}
