import {
  type BackRing,
  CTRL_REQUEST_WORDS,
  copyCtrlRequest,
  ctrlId,
  ctrlRequestData,
  ctrlType,
  RING_BROKEN,
  writeCtrlResponse,
} from '@netchannel2/netif';
import type { DeferredWork, Domain, EventChannelPort } from '@netchannel2/xen';
import type { ControlRequests } from './control-requests';

/** Requests of one pass: each may be a hypercall or two. */
const PASS_REQUESTS = 16;

/** The backend's end of the control ring: requests are executed one by one, in order, and answered. */
export class ControlRing implements DeferredWork {
  deferred = false;
  private open = true;
  private readonly request = new Int32Array(CTRL_REQUEST_WORDS);

  constructor(
    private readonly domain: Domain,
    private readonly ring: BackRing,
    private readonly port: EventChannelPort,
    private readonly requests: ControlRequests,
    private readonly broken: (reason: string) => void,
  ) {}

  onEvent(): void {
    if (!this.deferred) this.run();
  }

  run(): void {
    if (!this.open) return;
    const { ring } = this;
    let waiting = ring.requests();
    for (let count = 0; waiting > 0 && count < PASS_REQUESTS; count += 1, waiting -= 1) this.execute();
    if (ring.pushResponses()) this.domain.events.notify(this.port);
    if (waiting === 0) waiting = ring.finalCheckRequests();
    if (waiting === RING_BROKEN) {
      this.open = false;
      this.broken('control request index out of range');
    } else if (waiting > 0 && !this.deferred) {
      this.domain.defer(this);
    }
  }

  close(): void {
    this.open = false;
  }

  private execute(): void {
    const { ring, request, requests } = this;
    copyCtrlRequest(ring.words, ring.slot(ring.requestIndex), request, 0);
    ring.requestIndex = (ring.requestIndex + 1) | 0;
    const type = ctrlType(request, 0);
    const status = requests.execute(
      type,
      ctrlRequestData(request, 0, 0),
      ctrlRequestData(request, 0, 1),
      ctrlRequestData(request, 0, 2),
    );
    writeCtrlResponse(
      ring.words,
      ring.slot(ring.responseIndex),
      ctrlId(request, 0),
      type,
      status,
      requests.data,
    );
    ring.responseIndex = (ring.responseIndex + 1) | 0;
  }
}
