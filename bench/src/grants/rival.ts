import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { transferList } from '@netchannel2/hypervisor';
import { domainId } from '@netchannel2/xen';
import { type GranteeWork, refsFor } from './grantee-work';
import type { Granter, GrantTableVersion } from './granter';
import type { RivalTask } from './rival.worker';
import { RivalWord } from './rival-words';

/** A domain on another thread that works on a granter's table, on references of its own, until it is stopped. */
export class Rival {
  private constructor(
    private readonly granter: Granter,
    private readonly worker: Worker,
    private readonly words: Int32Array,
  ) {}

  /** Resolves when the rival is at work. */
  static async start(granter: Granter, version: GrantTableVersion, work: GranteeWork): Promise<Rival> {
    const handle = granter.machine.createWorkerDomain({ memoryPages: 512, grantTableVersion: version });
    const words = new Int32Array(new SharedArrayBuffer(8));
    const task: RivalTask = {
      handle,
      granter: granter.guest.id,
      refs: granter.grantTo(domainId(handle.domid), refsFor(work)),
      work,
      words,
    };
    const worker = new Worker(new URL('./grants/rival.worker.js', import.meta.url), {
      workerData: task,
      transferList: transferList(handle),
    });
    const failed = new Promise<never>((_, reject) => worker.once('error', reject));
    await Promise.race([failed, once(worker, 'message')]);
    return new Rival(granter, worker, words);
  }

  /** Rounds of work it has done, modulo 2^32. */
  get rounds(): number {
    return Atomics.load(this.words, RivalWord.rounds);
  }

  async stop(): Promise<void> {
    Atomics.store(this.words, RivalWord.stop, 1);
    await once(this.worker, 'exit');
    await this.granter.machine.workersGone();
  }
}
